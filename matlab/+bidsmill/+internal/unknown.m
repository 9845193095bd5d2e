function unknown(code, what, name, known, todo)
%UNKNOWN  Stop because a name is not among the known ones; names the nearest.
%   bidsmill.internal.unknown(CODE, WHAT, NAME, KNOWN, TODO): KNOWN is a
%   cellstr of the names that would have been right, TODO may be ''.
%
%   Example
%     bidsmill.internal.unknown('x:y', 'no such task', 'fases', {'faces'}, '')
  known = known(:).';
  distance = cellfun(@(other) edits(lower(name), lower(other)), known);
  longest = max([cellfun('length', known); repmat(numel(name), 1, numel(known))], [], 1);
  [distance, order] = sort(distance ./ max(longest, 1));
  near = known(order(distance <= 0.5));
  if ~isempty(near)
    expected = ['perhaps ''' strjoin(near(1:min(5, end)), ''' or ''') ''''];
  elseif ~isempty(known)
    expected = ['one of: ' bidsmill.internal.listed(known)];
  else
    expected = '';
  end
  bidsmill.internal.fail(code, what, 'found', ['''' name ''''], 'expected', expected, ...
    'to do', todo);
end

function count = edits(a, b)
  % Insertions, deletions and replacements between two texts (Levenshtein 1966).
  row = 0:numel(b);
  for i = 1:numel(a)
    before = row;
    row(1) = i;
    for j = 1:numel(b)
      row(j + 1) = min([row(j) + 1, before(j + 1) + 1, before(j) + (a(i) ~= b(j))]);
    end
  end
  count = row(end);
end
