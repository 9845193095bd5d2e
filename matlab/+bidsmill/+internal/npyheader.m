function bytes = npyheader(shape)
%NPYHEADER  The header of an .npy file: format 1.0, float32, C order.
%   BYTES = bidsmill.internal.npyheader(SHAPE): SHAPE is rows, channels, times.
%   Byte for byte what NumPy writes: a dict, blanks for a first axis of up to 21
%   digits, and blanks up to a multiple of 64 bytes (numpy.lib.format).
%
%   Example
%     bytes = bidsmill.internal.npyheader([8 5 16]);
  sizes = strjoin(arrayfun(@(n) sprintf('%d', n), shape(:).', 'UniformOutput', false), ', ');
  text = ['{''descr'': ''<f4'', ''fortran_order'': False, ''shape'': (' sizes '), }'];
  text = [text, blanks(21 - numel(sprintf('%d', shape(1))))];
  text = [text, blanks(64 - mod(10 + numel(text) + 1, 64)), char(10)];
  bytes = [uint8([147 78 85 77 80 89 1 0]), uint8(mod(numel(text), 256)), ...
    uint8(floor(numel(text) / 256)), uint8(text)];
end
