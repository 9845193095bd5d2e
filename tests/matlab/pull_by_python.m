% Without parquetread, the command line of Python fills the cache.
store = getenv('BIDSMILL_TEST_STORE');
assert(bidsmill.pull(store, 'sample@1.0.0', 'Split', 'train') == 1);
assert(bidsmill.pull(store, 'sample@1.0.0', 'Split', 'train') == 0);
ds = bidsmill.Datastore(store, 'sample@1.0.0', 'Split', 'train');
assert(numel(readall(ds)) == numpartitions(ds));
elsewhere = fullfile(getenv('BIDSMILL_TEST_FOLDER'), 'it''s elsewhere');
setenv('PATH', '/usr/bin:/bin');
refused('Cache:missing', {'run in a shell: bidsmill pull ''', 'sample@1.1.0-'}, ...
  @() bidsmill.pull(store, 'sample', 'Cache', elsewhere));
assert(strcmp(getenv('BIDSMILL_CACHE'), bidsmill.cachefolder()));
