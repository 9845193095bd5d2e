classdef Copyable < handle
% COPYABLE  Stands in for MATLAB's class of this name in GNU Octave.
  methods
    function c = copy(o), c = copyElement(o); end
  end
  methods (Access = protected)
    function c = copyElement(o) %#ok<STOUT>
      error('shim:copy', '%s must define copyElement to run in Octave', class(o));
    end
  end
end
