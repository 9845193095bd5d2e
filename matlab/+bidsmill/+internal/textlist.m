function list = textlist(option, value)
%TEXTLIST  The value of an option that takes text or a list of texts.
%   LIST = bidsmill.internal.textlist(OPTION, VALUE) returns a row cellstr.
%
%   Example
%     bidsmill.internal.textlist('Split', 'train')
  value = bidsmill.internal.chars(value);
  if ischar(value)
    list = {value};
  elseif iscellstr(value) %#ok<ISCLSTR>
    list = value(:).';
  else
    bidsmill.internal.fail('Datastore:option', ['''' option ''' takes text or a list of texts'], ...
      'found', class(value));
  end
end
