function conditions = conditionsof(expression)
%CONDITIONSOF  Read a simple expression of Python's `where` as conditions.
%   CONDITIONS = bidsmill.internal.conditionsof(EXPRESSION) returns a cell array
%   with a row {column, operator, value} per comparison. EXPRESSION has
%   comparisons of a column with text or a number, joined by `and`; `in [a, b]`
%   and `not in [a, b]` take a list. A name with other characters than letters,
%   digits and _ stands in backquotes. Nothing is ever evaluated.
%
%   Example
%     bidsmill.internal.conditionsof('task == ''faces'' and run in [''1'', ''2'']')
  pattern = ['\s*(`[^`]+`|''[^''\\]*''|', char(34), '[^', char(34), '\\]*', char(34), ...
    '|[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?|[A-Za-z_][A-Za-z0-9_]*', ...
    '|==|!=|<=|>=|[<>,\[\]()])\s*'];
  [tokens, rest] = regexp(expression, pattern, 'tokens', 'split');
  tokens = [tokens{:}];
  if ~isempty([rest{:}]) || isempty(tokens), refuse(expression); end
  conditions = cell(0, 3);
  at = 1;
  while true
    [condition, at] = comparison(tokens, at, expression);
    conditions(end + 1, :) = condition; %#ok<AGROW>
    if at > numel(tokens), return; end
    if ~strcmp(tokens{at}, 'and'), refuse(expression); end
    at = at + 1;
  end
end

function [condition, at] = comparison(tokens, at, expression)
  tokens(end + 1:at + 3) = {''}; % so that what is missing is no token
  name = tokens{at};
  operator = tokens{at + 1};
  if isempty(regexp(name, '^[A-Za-z_`]', 'once')), refuse(expression); end
  name = strrep(name, '`', '');
  at = at + 2;
  if strcmp(operator, 'not') && strcmp(tokens{at}, 'in')
    operator = 'not in';
    at = at + 1;
  end
  switch operator
    case {'in', 'not in'}
      [value, at] = listfrom(tokens, at, expression);
      if strcmp(operator, 'in'), operator = '=='; else, operator = '~='; end
    case {'==', '!=', '<', '<=', '>', '>='}
      operator = strrep(operator, '!', '~');
      value = valueof(tokens{at}, expression);
      at = at + 1;
    otherwise
      refuse(expression);
  end
  condition = {name, operator, value};
end

function [values, at] = listfrom(tokens, at, expression)
  closing = find(strcmp(tokens(at:end), ']'), 1) + at - 1;
  if ~strcmp(tokens{at}, '[') || isempty(closing), refuse(expression); end
  inner = tokens(at + 1:closing - 1);
  commas = strcmp(inner, ',');
  if ~all(commas(2:2:end)) || any(commas(1:2:end)), refuse(expression); end
  values = cellfun(@(token) valueof(token, expression), inner(1:2:end), 'UniformOutput', false);
  at = closing + 1;
end

function value = valueof(token, expression)
  if ~isempty(token) && any(token(1) == ['''' char(34)])
    value = token(2:end - 1);
  elseif ~isempty(regexp(token, '^[-+.\d]', 'once'))
    value = str2double(token);
  else
    refuse(expression);
  end
end

function refuse(expression)
  bidsmill.internal.fail('Where:form', 'this ''Where'' cannot be read', 'found', expression, ...
    'expected', ['comparisons of columns with text or numbers (== != < <= > >=, in [...], ' ...
    'not in [...]), joined by and'], 'to do', 'search by or, not and HED in Python');
end
