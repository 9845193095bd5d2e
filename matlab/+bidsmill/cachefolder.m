function folder = cachefolder()
%CACHEFOLDER  Folder of decoded matrices, the same that Python uses.
%   FOLDER = bidsmill.cachefolder() returns the environment variable
%   BIDSMILL_CACHE if it is set, else "bidsmill" in the user's cache folder:
%   XDG_CACHE_HOME or ~/.cache on Linux, ~/Library/Caches on macOS,
%   %LOCALAPPDATA%\bidsmill\Cache on Windows.
%
%   Output
%     folder   char. It may not exist yet.
%
%   Example
%     setenv('BIDSMILL_CACHE', '/scratch/bidsmill');
%     bidsmill.cachefolder()
  stated = getenv('BIDSMILL_CACHE');
  if ~isempty(stated)
    folder = bidsmill.internal.expanduser(stated);
    return
  end
  home = bidsmill.internal.expanduser('~');
  if ispc()
    base = getenv('LOCALAPPDATA');
    if isempty(base), base = fullfile(home, 'AppData', 'Local'); end
    folder = fullfile(base, 'bidsmill', 'Cache');
  elseif ismac()
    folder = fullfile(home, 'Library', 'Caches', 'bidsmill');
  else
    base = getenv('XDG_CACHE_HOME');
    if isempty(base), base = fullfile(home, '.cache'); end
    folder = fullfile(base, 'bidsmill');
  end
end
