function [offset, shape] = readnpyheader(file)
%READNPYHEADER  Where the numbers of an .npy file begin, and its shape.
%   [OFFSET, SHAPE] = bidsmill.internal.readnpyheader(FILE): both are [] if the
%   file is no .npy file of float32 in C order.
%
%   Example
%     [offset, shape] = bidsmill.internal.readnpyheader('a.npy');
  offset = [];
  shape = [];
  fid = fopen(file, 'r', 'ieee-le');
  if fid < 0, return; end
  closing = onCleanup(@() fclose(fid));
  start = fread(fid, [1 10], '*uint8');
  if numel(start) < 10 || ~isequal(start(1:8), uint8([147 78 85 77 80 89 1 0])), return; end
  count = double(start(9)) + 256 * double(start(10));
  text = char(fread(fid, [1 count], '*uint8'));
  sizes = regexp(text, '''shape'':\s*\(([^)]*)\)', 'tokens', 'once');
  good = numel(text) == count && ~isempty(sizes) ...
    && ~isempty(regexp(text, '''descr'':\s*''<f4''', 'once')) ...
    && ~isempty(regexp(text, '''fortran_order'':\s*False', 'once'));
  if good
    offset = 10 + count;
    shape = cellfun(@str2double, regexp(sizes{1}, '\d+', 'match'));
  end
end
