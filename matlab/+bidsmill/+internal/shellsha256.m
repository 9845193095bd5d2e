function hex = shellsha256(file)
%SHELLSHA256  SHA-256 of a file by a command of the system.
%   HEX = bidsmill.internal.shellsha256(FILE): for a MATLAB without Java.
%
%   Example
%     bidsmill.internal.shellsha256('samples.tsv')
  quoted = bidsmill.internal.shellquote(file);
  if ispc()
    command = ['certutil -hashfile ' quoted ' SHA256'];
  elseif ismac()
    command = ['shasum -a 256 ' quoted];
  else
    command = ['sha256sum ' quoted];
  end
  [status, printed] = system(command);
  % A backslash stands before the digits where the name of the file has one.
  hex = regexp(printed, '(?:^|\n|\\)([0-9a-fA-F]{64})\s', 'tokens', 'once');
  if status ~= 0 || isempty(hex)
    bidsmill.internal.fail('System:noSha256', 'this system has no command for SHA-256', ...
      'found', strtrim(printed), 'to do', 'start MATLAB with Java');
  end
  hex = lower(hex{1});
end
