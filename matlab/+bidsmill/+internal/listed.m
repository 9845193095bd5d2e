function text = listed(names)
%LISTED  Names as one text, cut after 12 of them.
%   TEXT = bidsmill.internal.listed(NAMES) takes a cellstr.
%
%   Example
%     bidsmill.internal.listed({'Fz', 'Cz'})
  shown = 12;
  names = names(:).';
  text = strjoin(names(1:min(shown, end)), ', ');
  if numel(names) > shown
    text = sprintf('%s and %d more', text, numel(names) - shown);
  end
end
