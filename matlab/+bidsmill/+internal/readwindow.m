function window = readwindow(file, offset, shape, row)
%READWINDOW  One row of a decoded matrix: single, times x channels.
%   WINDOW = bidsmill.internal.readwindow(FILE, OFFSET, SHAPE, ROW): SHAPE is
%   rows, channels, times; ROW counts from 0. Where there is no memmapfile.
%
%   Example
%     window = bidsmill.internal.readwindow(file, 128, [8 5 16], 0);
  count = shape(2) * shape(3);
  fid = fopen(file, 'r', 'ieee-le');
  if fid >= 0
    closing = onCleanup(@() fclose(fid));
    fseek(fid, offset + 4 * count * row, 'bof');
    window = fread(fid, count, 'single=>single');
  end
  if fid < 0 || numel(window) ~= count
    bidsmill.internal.fail('Cache:missing', 'a decoded matrix was removed while it was in use', ...
      'file', file, 'to do', 'make the datastore again');
  end
  window = reshape(window, shape(3), shape(2));
end
