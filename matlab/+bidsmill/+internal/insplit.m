function keep = insplit(table, manifest, split)
%INSPLIT  Which rows of samples are on these sides of the split.
%   KEEP = bidsmill.internal.insplit(TABLE, MANIFEST, SPLIT): SPLIT is text or a
%   cellstr of train, validation, test, none.
%
%   Example
%     keep = bidsmill.internal.insplit(table, manifest, 'train');
  wanted = bidsmill.internal.textlist('Split', split);
  sides = {'train', 'validation', 'test', 'none'};
  column = bidsmill.internal.columnof(table, 'split');
  keep = false(table.height, 1);
  for k = 1:numel(wanted)
    if ~any(strcmp(wanted{k}, sides))
      bidsmill.internal.unknown('Datastore:unknownSplit', 'there is no split of this name', ...
        wanted{k}, sides, '');
    end
    own = strcmp(column, wanted{k});
    if ~any(own)
      counts = cellfun(@(side) sprintf('%d %s', sum(strcmp(column, side)), side), sides, ...
        'UniformOutput', false);
      bidsmill.internal.fail('Datastore:emptySplit', ...
        ['no row of ' manifest.dataset ' is in the split ''' wanted{k} ''''], ...
        'found', strjoin(counts, ', '), 'to do', 'choose another split');
    end
    keep = keep | own;
  end
end
