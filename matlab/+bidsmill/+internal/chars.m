function value = chars(value)
%CHARS  Strings of MATLAB as char or cellstr; anything else as it is.
%   VALUE = bidsmill.internal.chars(VALUE) looks into cells, too.
%
%   Example
%     bidsmill.internal.chars({'a', 1})
  if isa(value, 'string')
    if isscalar(value), value = char(value); else, value = cellstr(value); end
  elseif iscell(value)
    value = cellfun(@bidsmill.internal.chars, value, 'UniformOutput', false);
  end
end
