function names = datasets(store)
%DATASETS  The ids of the datasets of a store, sorted.
%   NAMES = bidsmill.internal.datasets(STORE) returns a cellstr.
%
%   Example
%     names = bidsmill.internal.datasets(bidsmill.internal.openstore('results/store', ''));
  found = dir(fullfile(store.root, 'datasets'));
  names = {found([found.isdir]).name};
  has = cellfun(@(name) exist(fullfile(store.root, 'datasets', name, 'latest.json'), ...
    'file') == 2, names);
  names = bidsmill.internal.sorttext(names(has & ~strncmp(names, '.', 1)));
end
