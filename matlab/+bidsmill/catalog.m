function datasets = catalog(store, varargin)
%CATALOG  The datasets of a bidsmill store.
%   DATASETS = bidsmill.catalog(STORE) returns a table with a row per dataset:
%   dataset, version, snapshot, name, license, labels, split, counts. Without the
%   class table (GNU Octave) it is a struct array. Without parquetread it is made
%   from the manifests of the datasets.
%
%   bidsmill.catalog(STORE, 'Cache', FOLDER): where a remote store was pulled to.
%
%   Input
%     store    char: a folder, or the s3:// address of a store that was pulled
%
%   Example
%     bidsmill.catalog('results/store')
%
%   See also bidsmill.info, bidsmill.Datastore.
  options = bidsmill.internal.parsed('catalog', varargin);
  store = bidsmill.internal.openstore(store, options.Cache);
  file = fullfile(store.root, 'catalog.parquet');
  if bidsmill.internal.hasparquet() && exist(file, 'file') == 2
    columns = bidsmill.internal.readparquet(file);
  else
    columns = walked(store);
  end
  rows = cell(columns.height, numel(columns.names));
  for k = 1:numel(columns.names)
    values = columns.values{k};
    if ~iscell(values), values = num2cell(values); end
    rows(:, k) = values;
  end
  datasets = cell2struct(rows, columns.names, 2);
  if exist('table', 'class') == 8
    datasets = struct2table(datasets, 'AsArray', true);
  end
end

function columns = walked(store)
  names = bidsmill.internal.datasets(store);
  texts = {'dataset', 'version', 'snapshot', 'name', 'license', 'doi', 'datatypes', 'tasks', ...
    'labels', 'split'};
  counts = {'recordings', 'converted', 'quarantined', 'subjects', 'rows', 'layouts', 'bytes'};
  every = [texts counts];
  values = repmat({cell(numel(names), 1)}, 1, numel(every));
  for row = 1:numel(names)
    manifest = bidsmill.internal.openversion(store, names{row}, '');
    manifest.labels = bidsmill.internal.labelnames(manifest);
    manifest.layouts = numel(fieldnames(manifest.layouts));
    manifest.bytes = sum(cellfun(@(entry) entry.size, manifest.files));
    for k = 1:numel(every)
      value = manifest.(every{k});
      if k <= numel(texts) && ~ischar(value)
        value = strjoin(bidsmill.internal.aslist(value), ', ');
      end
      values{k}{row} = value;
    end
  end
  columns = struct('names', {every}, 'values', {values}, 'height', numel(names));
end
