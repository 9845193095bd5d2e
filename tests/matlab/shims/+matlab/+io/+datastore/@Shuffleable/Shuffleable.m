classdef (Abstract) Shuffleable < handle
% SHUFFLEABLE  Stands in for MATLAB's class of this name in GNU Octave.
  methods (Abstract)
    dsnew = shuffle(ds)
  end
end
