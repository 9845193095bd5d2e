function list = aslist(value)
%ASLIST  What jsondecode made of a JSON list, as a row cell array.
%   LIST = bidsmill.internal.aslist(VALUE): jsondecode gives a struct array, a
%   numeric column, a cell array or [], depending on the content.
%
%   Example
%     bidsmill.internal.aslist(jsondecode('["Fz", "Cz"]'))
  if ischar(value)
    list = {value};
  elseif iscell(value)
    list = value(:).';
  else
    list = num2cell(value(:).');
  end
end
