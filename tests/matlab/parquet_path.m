% Without decoded matrices, but with parquetread: the datastore fills the cache.
here = fileparts(mfilename('fullpath'));
addpath(fullfile(here, 'parquet'));
store = getenv('BIDSMILL_TEST_STORE');
ds = bidsmill.Datastore(store, 'sample@1.0.0');
assert(isempty(dir(fullfile(bidsmill.cachefolder(), 'matrix', '*.npy'))));
read(ds);
assert(numel(dir(fullfile(bidsmill.cachefolder(), 'matrix', '*.npy'))) == 1);
assert(bidsmill.pull(store, 'sample', 'Where', {'subject', '03'}) == 1);
assert(bidsmill.pull(store, 'sample', 'Where', {'subject', '03'}) == 0);
datasets = bidsmill.catalog(store);
assert(isequal({datasets.dataset}, {'faces', 'sample'}) && datasets(1).rows == 38);
% A damaged matrix of the store is refused before it is decoded.
copied = fullfile(getenv('BIDSMILL_TEST_FOLDER'), 'copied');
copyfile(store, copied);
matrix = dir(fullfile(copied, 'datasets', 'faces', 'files', 'matrix', 'sub-01*.parquet'));
fid = fopen(fullfile(copied, 'datasets', 'faces', 'files', 'matrix', matrix(1).name), 'r+');
fwrite(fid, 'XXXX');
fclose(fid);
refused('Store:damagedFile', {'another content'}, ...
  @() read(bidsmill.Datastore(copied, 'faces', 'Channels', 'common')));
