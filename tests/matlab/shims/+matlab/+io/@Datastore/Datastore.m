classdef (Abstract) Datastore < matlab.mixin.Copyable
% DATASTORE  Stands in for MATLAB's class of this name in GNU Octave.
  methods (Abstract)
    tf = hasdata(ds)
    [data, info] = read(ds)
    reset(ds)
  end
  methods
    function data = readall(ds)
      c = copy(ds); reset(c);
      if hasdata(c), data = read(c); else, data = []; end
      while hasdata(c), data = [data; read(c)]; end
    end
    function data = preview(ds)
      c = copy(ds); reset(c); data = read(c); data = data(1:min(8, size(data, 1)), :);
    end
    function tf = isPartitionable(ds), tf = isa(ds, 'matlab.io.datastore.Partitionable'); end
    function tf = isShuffleable(ds), tf = isa(ds, 'matlab.io.datastore.Shuffleable'); end
    function tf = isSubsettable(ds), tf = isa(ds, 'matlab.io.datastore.Subsettable'); end
  end
  methods (Hidden)
    function frac = progress(ds), frac = double(~hasdata(ds)); end
  end
end
