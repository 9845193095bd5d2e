classdef memmapfile < handle
% MEMMAPFILE  Stands in for MATLAB's class of this name in GNU Octave: reads it all at once.
  properties
    Data = []
  end
  methods
    function map = memmapfile(file, varargin)
      options = struct(varargin{1:4});
      assert(isequal(varargin(5), {'Format'}) && options.Repeat == 1);
      format = varargin{6};
      fid = fopen(file, 'r');
      fseek(fid, options.Offset, 'bof');
      values = fread(fid, prod(format{2}), ['*' format{1}]);
      fclose(fid);
      map.Data = struct(format{3}, reshape(values, format{2}));
    end
  end
end
