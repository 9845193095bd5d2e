function [sorted, order] = sorttext(texts)
%SORTTEXT  Sort texts by code points, as Python does.
%   [SORTED, ORDER] = bidsmill.internal.sorttext(TEXTS) takes a cellstr. The
%   order of bytes of UTF-8 is that of code points; that of UTF-16 is not.
%
%   Example
%     bidsmill.internal.sorttext({'b', 'a'})
  keys = texts;
  wide = find(cellfun(@(text) any(text > 127), texts));
  for k = wide(:).'
    keys{k} = char(bidsmill.internal.encodetext(texts{k}));
  end
  if isempty(texts)
    order = [];
  else
    [~, order] = sort(keys(:));
  end
  sorted = reshape(texts(order), 1, []);
end
