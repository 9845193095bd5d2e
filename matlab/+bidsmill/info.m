function about = info(store, dataset, varargin)
%INFO  What is in a dataset of a bidsmill store.
%   ABOUT = bidsmill.info(STORE, DATASET) returns a struct: dataset, version,
%   snapshot, name, license, doi, rows, subjects, recordings, columns (of samples),
%   splits (rows on each side), labels (struct array: name, kind, classes) and
%   layouts (struct array: id, channels, types, units, sfreq, tmin, n_times, rows).
%
%   bidsmill.info(STORE, DATASET, 'Version', V, 'Cache', FOLDER) as for
%   bidsmill.Datastore.
%
%   Inputs
%     store     char: a folder, or the s3:// address of a store that was pulled
%     dataset   char: id, id@snapshot or id@version
%
%   Example
%     about = bidsmill.info('results/store', 'sample');
%     about.labels(1).classes
%
%   See also bidsmill.catalog, bidsmill.Datastore.
  options = bidsmill.internal.parsed('info', varargin);
  store = bidsmill.internal.openstore(store, options.Cache);
  manifest = bidsmill.internal.openversion(store, dataset, options.Version);
  samples = bidsmill.internal.opentable(store, manifest, 'samples');
  about = struct('dataset', manifest.dataset, 'version', manifest.version);
  for field = {'snapshot', 'name', 'license', 'doi', 'rows', 'subjects', 'recordings'}
    about.(field{1}) = manifest.(field{1});
  end
  about.columns = samples.names;
  side = bidsmill.internal.columnof(samples, 'split');
  for name = {'train', 'validation', 'test', 'none'}
    about.splits.(name{1}) = sum(strcmp(side, name{1}));
  end
  names = bidsmill.internal.labelnames(manifest);
  about.labels = struct('name', names, 'kind', '', 'classes', {{}});
  for k = 1:numel(names)
    label = bidsmill.internal.labelof(manifest, names{k});
    about.labels(k).kind = label.kind;
    if isfield(label, 'classes'), about.labels(k).classes = label.classes; end
  end
  about.layouts = layouts(manifest);
end

function every = layouts(manifest)
  kept = {'id', 'channels', 'types', 'units', 'sfreq', 'tmin', 'n_times', 'rows'};
  fields = fieldnames(manifest.layouts);
  cells = cell(numel(fields), numel(kept));
  for k = 1:numel(fields)
    id = bidsmill.internal.keyname(fields{k}, manifest.keys);
    layout = bidsmill.internal.layoutof(manifest, id);
    cells(k, :) = cellfun(@(name) layout.(name), kept, 'UniformOutput', false);
  end
  every = cell2struct(cells, kept, 2);
end
