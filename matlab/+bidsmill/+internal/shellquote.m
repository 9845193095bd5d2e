function text = shellquote(text)
%SHELLQUOTE  Quote one argument of a command of the system, where it needs it.
%   TEXT = bidsmill.internal.shellquote(TEXT)
%
%   Example
%     bidsmill.internal.shellquote('it is')
  if ~isempty(regexp(text, '^[A-Za-z0-9_@+:,./-]+$', 'once')), return; end
  if ispc()
    if any(ismember(text, '"%!')) || any(text < 32)
      bidsmill.internal.fail('System:quote', 'this text cannot stand in a command', ...
        'found', text);
    end
    text = ['"' text '"'];
  else
    text = ['''' strrep(text, '''', '''\''''') ''''];
  end
end
