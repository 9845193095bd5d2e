function keep = matchingrows(table, manifest, where)
%MATCHINGROWS  Which rows of samples fulfil conditions on columns.
%   KEEP = bidsmill.internal.matchingrows(TABLE, MANIFEST, WHERE) returns a
%   logical column. WHERE is a struct (column = value), or a cell array with a
%   condition per row: {column, value} or {column, operator, value}, or text (see
%   conditionsof). A row must fulfil all. Operators: == ~= != < <= > >=. A list
%   of values means any of them (== only), or none of them (~= only). Rules as in
%   Python: text is compared with text by code points; a column of text that meets
%   a number is read as numbers, and a cell without a number fulfils nothing.
%
%   Example
%     keep = bidsmill.internal.matchingrows(table, manifest, {'run', {'1', '2'}});
  keep = true(table.height, 1);
  conditions = normalised(bidsmill.internal.chars(where));
  for k = 1:size(conditions, 1)
    [name, operator, values] = conditions{k, :};
    if ~any(strcmp(name, table.names))
      bidsmill.internal.unknown('Where:unknownColumn', ...
        '''Where'' names a column that samples do not have', name, table.names, '');
    end
    if ~strcmp(operator, '==') && ~strcmp(operator, '~=') && numel(values) ~= 1
      refuse([name ' ' operator ' a list']);
    end
    keep = keep & fulfilled(table, manifest, name, operator, values);
  end
end

function conditions = normalised(where)
  if ischar(where)
    where = bidsmill.internal.conditionsof(where);
  elseif isstruct(where) && isscalar(where)
    where = [fieldnames(where), struct2cell(where)];
  elseif isempty(where)
    where = cell(0, 2);
  end
  if ~iscell(where) || ~any(size(where, 2) == [2 3]) || ndims(where) > 2 %#ok<ISMAT>
    refuse(['a ' class(where) ' of size ' mat2str(size(where))]);
  end
  if size(where, 2) == 2
    where = [where(:, 1), repmat({'=='}, size(where, 1), 1), where(:, 2)];
  end
  for k = 1:size(where, 1)
    if ~ischar(where{k, 1}), refuse(['a column named by a ' class(where{k, 1})]); end
    if ~ischar(where{k, 2}), refuse(['an operator that is a ' class(where{k, 2})]); end
    where{k, 2} = strrep(where{k, 2}, '!', '~');
    if ~any(strcmp(where{k, 2}, {'==', '~=', '<', '<=', '>', '>='}))
      refuse(['the operator ' where{k, 2}]);
    end
    where{k, 3} = listof(where{k, 3});
  end
  conditions = where;
end

function values = listof(value)
  if ischar(value) && size(value, 1) <= 1
    values = {value};
  elseif isnumeric(value) || islogical(value)
    values = num2cell(double(value(:).'));
  elseif iscell(value)
    values = value(:).';
  else
    refuse(['a value that is a ' class(value)]);
  end
  for k = 1:numel(values)
    good = ischar(values{k}) || (isnumeric(values{k}) && isscalar(values{k}));
    if ~good, refuse(['a value that is a ' class(values{k})]); end
  end
end

function keep = fulfilled(table, manifest, name, operator, values)
  isnumber = bidsmill.internal.isnumbercolumn(manifest, name);
  texts = {};
  numbers = [];
  every = strcmp(operator, '~=') || numel(values) == 1; % all must hold, or any of them
  keep = repmat(every, table.height, 1);
  for k = 1:numel(values)
    if ischar(values{k}) && isnumber
      bidsmill.internal.fail('Where:kind', ['the column ' name ' holds numbers'], ...
        'found', ['''' values{k} ''''], 'expected', 'a number');
    elseif ischar(values{k})
      if isempty(texts), texts = bidsmill.internal.columnof(table, name); end
      one = comparedtext(texts, operator, values{k});
    else
      if isempty(numbers), numbers = bidsmill.internal.numbersof(table, name); end
      one = comparednumbers(numbers, operator, double(values{k}));
    end
    if every
      keep = keep & one;
    else
      keep = keep | one;
    end
  end
end

function one = comparedtext(texts, operator, value)
  switch operator
    case '=='
      one = strcmp(texts, value);
    case '~='
      one = ~strcmp(texts, value);
    otherwise
      [distinct, ~, which] = unique([texts(:); {value}]);
      [~, order] = bidsmill.internal.sorttext(distinct);
      rank = zeros(numel(distinct), 1);
      rank(order) = 1:numel(distinct);
      rank = rank(which(:));
      one = comparednumbers(rank(1:end - 1), operator, rank(end));
  end
end

function one = comparednumbers(numbers, operator, value)
  switch operator
    case '==', one = numbers == value;
    case '~=', one = numbers ~= value;
    case '<', one = numbers < value;
    case '<=', one = numbers <= value;
    case '>', one = numbers > value;
    case '>=', one = numbers >= value;
  end
  one = one & ~isnan(numbers) & ~isnan(value);
end

function refuse(found)
  bidsmill.internal.fail('Where:form', 'this ''Where'' cannot be read', 'found', found, ...
    'expected', ['{''task'', ''faces''; ''run'', {''1'', ''2''}}, ' ...
    '{''participant_age'', ''>'', 30}, or a struct']);
end
