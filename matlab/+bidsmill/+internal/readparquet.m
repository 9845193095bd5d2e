function columns = readparquet(file)
%READPARQUET  Read a Parquet file by parquetread.
%   COLUMNS = bidsmill.internal.readparquet(FILE) returns a struct: names
%   (cellstr, in file order), values (cell array: column cellstr, double, or
%   for a matrix a cell array of numeric vectors) and height.
%
%   Example
%     columns = bidsmill.internal.readparquet('catalog.parquet');
  try
    table = parquetread(file, 'VariableNamingRule', 'preserve');
  catch problem
    bidsmill.internal.fail('Parquet:unreadable', 'parquetread cannot read this file', ...
      'file', file, 'found', problem.message, 'to do', ...
      'use MATLAB R2023a or later, or run bidsmill pull in a shell');
  end
  names = reshape(table.Properties.VariableNames, 1, []);
  values = cell(1, numel(names));
  for k = 1:numel(names)
    values{k} = plain(table.(names{k}));
  end
  height = 0;
  if ~isempty(values), height = size(values{1}, 1); end
  columns = struct('names', {names}, 'values', {values}, 'height', height);
end

function value = plain(value)
  if isa(value, 'string')
    value(ismissing(value)) = '';
    value = cellstr(value);
  elseif isnumeric(value) || islogical(value)
    value = double(value);
  end
end
