function renamefile(from, to)
%RENAMEFILE  Put a finished file in the place of another, in one step.
%   bidsmill.internal.renamefile(FROM, TO): both are in the same folder.
%
%   Example
%     bidsmill.internal.renamefile('.a.part', 'a')
  if bidsmill.internal.isoctave()
    [status, message] = rename(from, to);
    good = status == 0;
  else
    [good, message] = movefile(from, to, 'f');
  end
  if ~good
    bidsmill.internal.fail('Cache:notWritable', 'a file of the cache cannot be written', ...
      'file', to, 'found', message, 'to do', 'set BIDSMILL_CACHE to a folder with space');
  end
end
