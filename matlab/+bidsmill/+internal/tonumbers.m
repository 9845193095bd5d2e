function numbers = tonumbers(texts)
%TONUMBERS  Texts as double; NaN for what is no decimal number.
%   NUMBERS = bidsmill.internal.tonumbers(TEXTS) takes a cellstr.
%
%   Example
%     bidsmill.internal.tonumbers({'1e-3', 'n/a'})
  numbers = nan(size(texts));
  pattern = '^\s*[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?\s*$';
  good = ~cellfun('isempty', regexp(texts, pattern, 'once'));
  if any(good(:))
    joined = texts(good);
    numbers(good) = sscanf(sprintf('%s\n', joined{:}), '%f');
  end
  infinite = ~cellfun('isempty', regexpi(texts, '^\s*[-+]?inf(inity)?\s*$', 'once'));
  numbers(infinite) = Inf;
  numbers(infinite & ~cellfun('isempty', strfind(texts, '-'))) = -Inf; %#ok<STRCLFH>
end
