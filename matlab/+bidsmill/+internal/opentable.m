function table = opentable(store, manifest, kind)
%OPENTABLE  Open a table of a dataset: samples, channels, recordings or events.
%   TABLE = bidsmill.internal.opentable(STORE, MANIFEST, KIND) returns a struct
%   with the fields names (cellstr), height, and what columnof reads from. The
%   text form (tsv) is read; of a remote store whose text form was not pulled
%   the Parquet form, which needs parquetread.
%
%   Example
%     samples = bidsmill.internal.opentable(store, manifest, 'samples');
  entry = tableentry(manifest, [kind '.tsv']);
  file = '';
  if ~isempty(entry), file = bidsmill.internal.storedfile(store, entry); end
  if ~isempty(file)
    table = bidsmill.internal.readtsv(file);
    return
  end
  other = tableentry(manifest, [kind '.parquet']);
  if ~isempty(other) && bidsmill.internal.hasparquet()
    file = bidsmill.internal.storedfile(store, other);
  end
  if isempty(file)
    bidsmill.internal.fail('Store:missingFile', ...
      ['the table ' kind '.tsv of ' manifest.dataset ' is not on this machine'], ...
      'to do', ['run in a shell: bidsmill pull ' store.address ' ' manifest.dataset]);
  end
  columns = bidsmill.internal.readparquet(file);
  table = struct('names', {columns.names}, 'height', columns.height, 'text', '', ...
    'ends', [], 'columns', {columns.values});
end

function entry = tableentry(manifest, name)
  entry = [];
  for k = 1:numel(manifest.files)
    if strcmp(manifest.files{k}.name, name) && ~strcmp(manifest.files{k}.kind, 'matrix')
      entry = manifest.files{k};
      return
    end
  end
end
