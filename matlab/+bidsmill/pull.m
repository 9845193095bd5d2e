function count = pull(store, dataset, varargin)
%PULL  Decode the matrices of a dataset into the cache before they are used.
%   COUNT = bidsmill.pull(STORE, DATASET) returns how many matrices were missing
%   (NaN for a remote store, where Python counts). They are decoded by parquetread
%   (R2023a); where there is none, and for remote stores, by the command line of the
%   Python library, if it is on the path.
%
%   COUNT = bidsmill.pull(STORE, DATASET, NAME, VALUE, ...) takes 'Split', 'Where',
%   'Target', 'Excluded', 'Version' and 'Cache' as bidsmill.Datastore does: only
%   the matrices of these windows; and
%     'Python'  true: always by Python; false: never (default: where it is needed)
%
%   Inputs
%     store     char: a folder, or s3://bucket/prefix
%     dataset   char: id, id@snapshot or id@version
%
%   Example
%     bidsmill.pull('results/store', 'sample', 'Split', 'train');
%
%   See also bidsmill.Datastore, bidsmill.cachefolder.
  options = bidsmill.internal.parsed('pull', varargin);
  address = bidsmill.internal.chars(store);
  remote = ischar(address) && strncmpi(address, 's3://', 5);
  python = options.Python;
  if isempty(python), python = remote || ~bidsmill.internal.hasparquet(); end
  if python && remote
    count = NaN;
    runpython(address, dataset, options); % the manifest may not be here yet
    return
  end
  store = bidsmill.internal.openstore(address, options.Cache);
  manifest = bidsmill.internal.openversion(store, dataset, options.Version);
  selection = bidsmill.internal.selected(store, manifest, options);
  lacks = @(entry) isempty(bidsmill.internal.cachedmatrix(store.cache, entry));
  missing = selection.entries(cellfun(lacks, selection.entries));
  count = numel(missing);
  if count > 0 && python
    options.Version = manifest.version;
    runpython(address, manifest.dataset, options);
  else
    cellfun(@(entry) bidsmill.internal.decodematrix(store, entry), missing);
  end
end

function runpython(address, dataset, options)
  name = bidsmill.internal.chars(dataset);
  if ~isempty(options.Version) && ~any(name == '@')
    name = [name '@' bidsmill.internal.chars(options.Version)];
  end
  command = ['bidsmill pull ' bidsmill.internal.shellquote(address) ' ' ...
    bidsmill.internal.shellquote(name)];
  if ischar(options.Split)
    command = [command ' --split ' bidsmill.internal.shellquote(options.Split)];
  end
  shown = command;
  if isunix() && ~bidsmill.internal.isoctave()
    command = ['env -u LD_LIBRARY_PATH ' command]; % MATLAB's own libraries would disturb Python
  end
  before = getenv('BIDSMILL_CACHE');
  if ~isempty(options.Cache)
    setenv('BIDSMILL_CACHE', bidsmill.internal.chars(options.Cache));
    restoring = onCleanup(@() setenv('BIDSMILL_CACHE', before)); %#ok<NASGU>
  end
  [status, printed] = system([command ' 2>&1']);
  if status ~= 0
    bidsmill.internal.fail('Cache:missing', ...
      'the command line of bidsmill did not fetch the matrices', 'found', strtrim(printed), ...
      'to do', ['run in a shell: ' shown]);
  end
end
