function manifest = openversion(store, dataset, version)
%OPENVERSION  Read the manifest of one version of a dataset.
%   MANIFEST = bidsmill.internal.openversion(STORE, DATASET, VERSION): DATASET
%   is an id, or id@snapshot or id@version; VERSION may be '', a snapshot (its
%   newest build) or a version. MANIFEST is the decoded document with the
%   fields version (the name of this version) and keys (see keyname) added,
%   and files as a row cell array of structs.
%
%   Example
%     store = bidsmill.internal.openstore('results/store', '');
%     manifest = bidsmill.internal.openversion(store, 'sample', '');
  [dataset, version] = wanted(dataset, version);
  known = bidsmill.internal.datasets(store);
  if ~any(strcmp(dataset, known))
    todo = '';
    if store.remote, todo = ['run in a shell: bidsmill pull ' store.address ' ' dataset]; end
    bidsmill.internal.unknown('Store:unknownDataset', 'no such dataset in this store', ...
      dataset, known, todo);
  end
  folder = fullfile(store.root, 'datasets', dataset);
  version = chosen(fullfile(folder, 'latest.json'), dataset, version);
  file = fullfile(folder, 'versions', [version '.json']);
  [manifest, keys, bytes] = bidsmill.internal.readjson(file);
  checkcontract(manifest, file);
  digest = bidsmill.internal.sha256(bytes);
  if ~strcmp(version(max(1, end - 11):end), digest(1:12))
    bidsmill.internal.fail('Store:damagedFile', ...
      'a manifest is not the one that its name states', 'file', file, ...
      'found', digest(1:12), 'expected', version, ...
      'to do', 'the store is damaged: copy this file again');
  end
  manifest.files = bidsmill.internal.aslist(manifest.files);
  manifest.keys = keys;
  manifest.version = version;
end

function [dataset, version] = wanted(dataset, version)
  dataset = bidsmill.internal.chars(dataset);
  version = bidsmill.internal.chars(version);
  if ~ischar(dataset) || ~ischar(version)
    bidsmill.internal.fail('Store:unknownDataset', 'a dataset is named by its id', ...
      'found', class(dataset), 'expected', 'text');
  end
  at = find(dataset == '@', 1);
  if ~isempty(at)
    if isempty(version), version = dataset(at + 1:end); end
    dataset = dataset(1:at - 1);
  end
end

function version = chosen(file, dataset, wanted)
  pointer = bidsmill.internal.readjson(file);
  checkcontract(pointer, file);
  version = pointer.version;
  if isempty(wanted), return; end
  history = bidsmill.internal.aslist(pointer.history);
  versions = cellfun(@(entry) entry.version, history, 'UniformOutput', false);
  snapshots = cellfun(@(entry) entry.snapshot, history, 'UniformOutput', false);
  version = wanted;
  if any(strcmp(wanted, versions)), return; end
  same = find(strcmp(wanted, snapshots), 1, 'last');
  if isempty(same)
    bidsmill.internal.unknown('Store:unknownVersion', ...
      ['dataset ' dataset ' has no snapshot or version of this name'], wanted, ...
      [unique(snapshots) versions], '');
  end
  version = versions{same};
end

function checkcontract(document, file)
  if ~isstruct(document) || ~isfield(document, 'contract') || ~isequal(document.contract, '1')
    bidsmill.internal.fail('Store:contract', 'this file is of another data contract', ...
      'file', file, 'expected', 'contract 1', 'to do', 'install a newer bidsmill');
  end
end
