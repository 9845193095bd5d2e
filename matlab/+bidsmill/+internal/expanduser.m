function path = expanduser(path)
%EXPANDUSER  Replace a leading ~ by the user's home folder.
%   PATH = bidsmill.internal.expanduser(PATH) takes and returns char.
%
%   Example
%     bidsmill.internal.expanduser('~/store')
  if ~isempty(regexp(path, '^~($|[/\\])', 'once'))
    home = getenv('HOME');
    if ispc() && isempty(home), home = getenv('USERPROFILE'); end
    path = [home path(2:end)];
  end
end
