function selection = selected(store, manifest, options)
%SELECTED  The rows, matrices and targets that options choose.
%   SELECTION = bidsmill.internal.selected(STORE, MANIFEST, OPTIONS) returns a
%   struct: table (samples); positions (rows of the table, from 1, in its order);
%   rows (rows of the matrices, from 0); entries (cell array: the manifest's
%   matrices that are used) and file (which of them a row is in); targets (cell
%   array, see targetof, with the values of these rows).
%
%   Example
%     selection = bidsmill.internal.selected(store, manifest, options);
  table = bidsmill.internal.opentable(store, manifest, 'samples');
  keep = true(table.height, 1);
  if ~isempty(options.Split)
    keep = keep & bidsmill.internal.insplit(table, manifest, options.Split);
  end
  if ~options.Excluded
    keep = keep & strcmp(bidsmill.internal.columnof(table, 'excluded'), '');
  end
  if ~isempty(options.Where)
    keep = keep & bidsmill.internal.matchingrows(table, manifest, options.Where);
  end
  names = {};
  if ~isempty(options.Target)
    names = bidsmill.internal.textlist('Target', options.Target);
  end
  targets = cell(1, numel(names));
  for k = 1:numel(names)
    targets{k} = bidsmill.internal.targetof(table, manifest, names{k});
    keep = keep & ~isnan(targets{k}.values);
  end
  positions = find(keep);
  if isempty(positions)
    bidsmill.internal.fail('Datastore:noRows', 'no row is selected', ...
      'to do', 'loosen Split, Where or Target; bidsmill.info(store, dataset) shows what there is');
  end
  for k = 1:numel(targets)
    targets{k}.values = targets{k}.values(positions);
  end
  rows = bidsmill.internal.numbersof(table, 'row');
  rows = rows(positions);
  [entries, file] = matricesof(table, manifest, positions);
  counts = cellfun(@(entry) double(entry.shape(1)), entries);
  wrong = find(~(rows >= 0 & rows < reshape(counts(file), [], 1)), 1);
  if ~isempty(wrong)
    bidsmill.internal.fail('Store:damagedFile', ...
      'samples name a row that the matrix does not have', ...
      'file', entries{file(wrong)}.path, 'found', sprintf('row %d', rows(wrong)));
  end
  selection = struct('table', table, 'positions', positions, 'rows', rows, ...
    'entries', {entries}, 'file', file, 'targets', {targets});
end

function [entries, file] = matricesof(table, manifest, positions)
  recordings = bidsmill.internal.columnof(table, 'recording');
  recordings = recordings(positions);
  used = unique(recordings, 'stable');
  [~, file] = ismember(recordings, used);
  ismatrix = cellfun(@(entry) strcmp(entry.kind, 'matrix'), manifest.files);
  matrices = manifest.files(ismatrix);
  known = cellfun(@(entry) entry.recording, matrices, 'UniformOutput', false);
  [found, at] = ismember(used, known);
  if ~all(found)
    bidsmill.internal.fail('Store:damagedFile', ...
      ['samples of ' manifest.dataset ' name a recording without a matrix'], ...
      'found', used{find(~found, 1)});
  end
  entries = reshape(matrices(at), 1, []);
end
