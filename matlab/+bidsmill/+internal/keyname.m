function name = keyname(field, names)
%KEYNAME  The JSON key behind a field that parsejson made.
%   NAME = bidsmill.internal.keyname(FIELD, NAMES)
%
%   Example
%     bidsmill.internal.keyname('key_1', {'a b'})
  name = field;
  if strncmp(field, 'key_', 4)
    name = names{str2double(field(5:end))};
  end
end
