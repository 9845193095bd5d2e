% Errors say what is wrong, what was found, what is expected, and what to do.
store = getenv('BIDSMILL_TEST_STORE');
make = @(varargin) bidsmill.Datastore(store, varargin{:});
common = {'Channels', 'common'};
refused('Store:notFound', {'there is no store', 'catalog.parquet'}, ...
  @() bidsmill.Datastore('/no/such/folder', 'faces'));
refused('Store:notPulled', {'s3://bucket/prefix', 'bidsmill pull s3://bucket/prefix DATASET'}, ...
  @() bidsmill.Datastore('s3://bucket/prefix/', 'faces'));
refused('Store:address', {'gs://'}, @() bidsmill.Datastore('gs://bucket', 'faces'));
refused('Store:unknownDataset', {'''face''', 'perhaps ''faces'''}, @() make('face'));
refused('Store:unknownDataset', {'one of: faces, sample'}, @() make('../x'));
refused('Store:unknownVersion', {'9.9.9', '1.1.0'}, @() make('sample', 'Version', '9.9.9'));
refused('Datastore:unknownSplit', {'''trian''', 'perhaps ''train'''}, ...
  @() make('faces', common{:}, 'Split', 'trian'));
refused('Datastore:emptySplit', {'validation', '24 train', '14 test'}, ...
  @() make('faces', common{:}, 'Split', 'validation'));
refused('Datastore:unknownTarget', {'''fase''', 'perhaps ''face'''}, ...
  @() make('faces', common{:}, 'Target', 'fase'));
refused('Datastore:cannotStack', {'their channels differ', '''Channels'', ''common'''}, ...
  @() make('faces'));
refused('Datastore:unknownChannel', {'''Fzz''', 'Fz'}, @() make('sample', 'Channels', {'Fzz'}));
refused('Datastore:channels', {'twice'}, @() make('sample', 'Channels', {'Fz', 'Fz'}));
refused('Datastore:channels', {'same channel'}, @() make('sample', 'Channels', {'Fz', ' Fz '}));
refused('Datastore:cannotStack', {'type eeg differ'}, @() make('faces', 'Channels', 'eeg'));
refused('Datastore:noRows', {'no row is selected'}, ...
  @() make('sample', 'Where', {'subject', 'nobody'}));
refused('Where:unknownColumn', {'''tsk''', 'perhaps ''task'''}, ...
  @() make('sample', 'Where', {'tsk', 'faces'}));
refused('Where:kind', {'onset', 'a number'}, @() make('sample', 'Where', {'onset', '1'}));
refused('Where:form', {'system'}, @() make('sample', 'Where', {'task', 'system(1)', 'faces'}));
bad = {'task', 'task = 1', 'task == faces', 'system(1)', 'task == 1 or row == 1', 'row <', ...
  'not row == 1', '1 < row < 3', 'row in [1 2]', 'row in [,]', 'row in [1,,2]', 'row in (1)', 'row == 1 and', ...
  'task == ''a\''b''', 'row == 1; system(1)', '`', 'row == 1)', 'row in [1', 'in [1]', 'row not 1'};
for k = 1:numel(bad)
  refused('Where:form', {bad{k}, 'joined by and'}, @() make('sample', 'Where', bad{k}));
end
refused('Where:form', {'double'}, @() make('sample', 'Where', 3));
refused('Where:form', {'a list'}, @() make('sample', 'Where', {'row', '<', [1 2]}));
refused('Datastore:option', {'code', 'index'}, @() make('sample', 'TargetAs', 'code'));
refused('Store:unknownColumn', {'onst', 'onset'}, @() column(make('sample'), 'onst'));

% Without decoded matrices and without parquetread.
refused('Cache:missing', {'2 of 2', 'no parquetread', ['bidsmill pull ''' store ''' sample@1.1.0-']}, ...
  @() make('sample', 'Cache', fullfile(getenv('BIDSMILL_TEST_FOLDER'), 'empty')));

% A damaged array, a record that does not fit, and none: never read.
cache = fullfile(getenv('BIDSMILL_TEST_FOLDER'), 'damaged');
mkdir(cache);
copyfile(fullfile(bidsmill.cachefolder(), 'matrix'), cache);
found = dir(fullfile(cache, 'matrix', '*.npy'));
entries = cell(1, numel(found));
for k = 1:numel(found)
  file = fullfile(cache, 'matrix', found(k).name);
  fid = fopen(file, 'r+');
  if mod(k, 4) == 0
    fseek(fid, -1, 'eof');
    last = fread(fid, 1, '*uint8');
    fseek(fid, -1, 'eof');
    fwrite(fid, bitxor(last, uint8(1))); % one bit: only the checksum tells
  elseif mod(k, 4) == 1
    fseek(fid, 0, 'eof');
    fwrite(fid, 'x');
  elseif mod(k, 4) == 2
    delete([file(1:end - 4) '.json']);
  end
  fclose(fid);
  record = [file(1:end - 4) '.json'];
  if mod(k, 4) == 0
    writerecord(record, jsondecode(fileread(record)), 0);
  elseif mod(k, 4) == 3
    writerecord(record, jsondecode(fileread(record)), 1);
  end
end
for dataset = {'sample', 'faces'}
  ds = make(dataset{1}, 'Cache', cache, common{:});
  while numpartitions(ds) > 0
    refused('Cache:missing', {'bidsmill pull'}, @() read(ds));
    recordings = column(ds, 'recording');
    ds = subset(ds, find(~strcmp(recordings, recordings{1})));
  end
end

% Damaged files of a store.
copied = fullfile(getenv('BIDSMILL_TEST_FOLDER'), 'copied');
copyfile(store, copied);
changed = dir(fullfile(copied, 'datasets', 'sample', 'files', 'samples', '*.tsv'));
for k = 1:numel(changed)
  file = fullfile(copied, 'datasets', 'sample', 'files', 'samples', changed(k).name);
  fid = fopen(file, 'r+');
  fwrite(fid, 'X');
  fclose(fid);
end
refused('Store:damagedFile', {'another content', 'sha256'}, ...
  @() bidsmill.Datastore(copied, 'sample'));
changed = dir(fullfile(copied, 'datasets', 'faces', 'versions', '*.json'));
file = fullfile(copied, 'datasets', 'faces', 'versions', changed(1).name);
fid = fopen(file, 'a');
fwrite(fid, ' ');
fclose(fid);
refused('Store:damagedFile', {'not the one that its name states'}, ...
  @() bidsmill.Datastore(copied, 'faces'));
