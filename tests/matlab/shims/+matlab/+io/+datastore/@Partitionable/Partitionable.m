classdef (Abstract) Partitionable < handle
% PARTITIONABLE  Stands in for MATLAB's class of this name in GNU Octave.
  methods (Abstract)
    subds = partition(ds, n, index)
  end
  methods (Abstract, Access = protected)
    n = maxpartitions(ds)
  end
  methods (Sealed)
    function n = numpartitions(ds, pool), n = maxpartitions(ds); end
  end
end
