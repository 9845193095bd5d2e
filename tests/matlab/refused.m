function refused(identifier, words, action)
% REFUSED  Fail unless an action ends with this error, and its message has these words.
try
  action();
catch problem
  assert(strcmp(problem.identifier, ['bidsmill:' identifier]), ...
    [problem.identifier ': ' problem.message]);
  for k = 1:numel(words)
    assert(~isempty(strfind(problem.message, words{k})), problem.message);
  end
  return
end
error('no error where bidsmill:%s was expected', identifier);
end
