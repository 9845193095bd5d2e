function numbers = numbersof(table, name)
%NUMBERSOF  One column of a table as numbers: double, NaN where there is none.
%   NUMBERS = bidsmill.internal.numbersof(TABLE, NAME)
%
%   Example
%     rows = bidsmill.internal.numbersof(table, 'row');
  at = find(strcmp(name, table.names), 1);
  if ~isempty(table.columns) && ~isempty(at) && ~iscell(table.columns{at})
    numbers = table.columns{at};
  else
    numbers = bidsmill.internal.tonumbers(bidsmill.internal.columnof(table, name));
  end
end
