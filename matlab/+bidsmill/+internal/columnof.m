function values = columnof(table, name)
%COLUMNOF  One column of a table as text: a column cellstr, '' where missing.
%   VALUES = bidsmill.internal.columnof(TABLE, NAME)
%
%   Example
%     subjects = bidsmill.internal.columnof(table, 'subject');
  at = find(strcmp(name, table.names), 1);
  if isempty(at)
    bidsmill.internal.unknown('Store:unknownColumn', 'the table has no column of this name', ...
      name, table.names, '');
  end
  if ~isempty(table.columns)
    values = table.columns{at};
    if ~iscell(values)
      values = arrayfun(@(number) shortest(number), values, 'UniformOutput', false);
    end
    return
  end
  values = cell(table.height, 1);
  text = table.text;
  last = double(table.ends(at, 2:end)) - 1;
  if at == 1
    first = double(table.ends(end, 1:end - 1)) + 1;
  else
    first = double(table.ends(at - 1, 2:end)) + 1;
  end
  for k = 1:table.height
    values{k} = text(first(k):last(k));
  end
  values(strcmp(values, 'n/a')) = {''};
end

function text = shortest(number)
  text = '';
  if ~isnan(number), text = sprintf('%.17g', number); end
end
