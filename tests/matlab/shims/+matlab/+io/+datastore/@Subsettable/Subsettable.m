classdef (Abstract) Subsettable < matlab.io.datastore.Partitionable & matlab.io.datastore.Shuffleable
% SUBSETTABLE  Stands in for MATLAB's class of this name in GNU Octave.
  methods (Abstract, Access = protected)
    subds = subsetByReadIndices(ds, indices)
  end
  methods
    function subds = subset(ds, indices)
      n = maxpartitions(ds);
      if islogical(indices)
        assert(numel(indices) == n, 'shim:subset', 'logical length');
        indices = find(indices);
      end
      indices = double(indices(:));
      assert(all(indices >= 1 & indices <= n & indices == fix(indices)), 'shim:subset', 'index');
      subds = subsetByReadIndices(ds, indices);
    end
    function s = shuffle(ds), s = subset(ds, randperm(maxpartitions(ds))); end
    function p = partition(ds, n, index)
      validateattributes(n, {'numeric'}, {'scalar', 'integer', 'positive'});
      validateattributes(index, {'numeric'}, {'scalar', 'integer', 'positive', '<=', n});
      e = round(linspace(0, maxpartitions(ds), n + 1));
      p = subset(ds, e(index) + 1:e(index + 1));
    end
  end
end
