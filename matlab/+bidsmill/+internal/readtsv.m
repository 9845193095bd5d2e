function table = readtsv(file)
%READTSV  Open a table of text as the data contract has it.
%   TABLE = bidsmill.internal.readtsv(FILE): one header line, tabs, no quotes.
%   Cells are cut out by columnof when a column is wanted.
%
%   Example
%     table = bidsmill.internal.readtsv('samples.tsv');
%     subjects = bidsmill.internal.columnof(table, 'subject');
  text = bidsmill.internal.decodetext(bidsmill.internal.readbytes(file));
  if isempty(text)
    bidsmill.internal.fail('Store:damagedFile', 'a table has no header line', 'file', file);
  end
  if text(end) ~= 10, text(end + 1) = char(10); end
  ends = find(text == 9 | text == 10);
  islast = text(ends) == 10;
  width = find(islast, 1);
  lines = find(islast);
  if numel(ends) ~= width * numel(lines) || any(diff(lines) ~= width)
    wrong = find(diff([0 lines]) ~= width, 1);
    bidsmill.internal.fail('Store:damagedFile', ...
      sprintf('line %d of a table has another number of cells than the header', wrong), ...
      'file', file, 'expected', sprintf('%d', width));
  end
  starts = [1, ends(1:width - 1) + 1];
  names = arrayfun(@(k) text(starts(k):ends(k) - 1), 1:width, 'UniformOutput', false);
  if numel(text) < 2^32, ends = uint32(ends); end % half the memory
  table = struct('names', {names}, 'height', numel(lines) - 1, 'text', text, ...
    'ends', reshape(ends, width, []), 'columns', {{}});
end
