function store = openstore(address, cache)
%OPENSTORE  Where the files of a store are on this machine.
%   STORE = bidsmill.internal.openstore(ADDRESS, CACHE): ADDRESS is a folder, a
%   file:// URL of one, or s3://bucket/prefix as it was pulled by Python. STORE
%   has the fields address, remote, root (the folder with the small files) and
%   cache (the folder of decoded matrices; CACHE, or the default if it is '').
%
%   Example
%     store = bidsmill.internal.openstore('results/store', '');
  address = bidsmill.internal.chars(address);
  if ~ischar(address) || isempty(address)
    bidsmill.internal.fail('Store:address', 'a store is named by its address', ...
      'found', class(address), 'expected', 'a folder, or s3://bucket/prefix');
  end
  if isempty(cache)
    cache = bidsmill.cachefolder();
  else
    cache = bidsmill.internal.expanduser(bidsmill.internal.chars(cache));
  end
  scheme = regexp(address, '^[A-Za-z][A-Za-z0-9+.-]+(?=://)', 'match', 'once');
  scheme = lower(scheme);
  store = struct('address', address, 'remote', false, 'root', '', 'cache', cache);
  if strcmp(scheme, 's3')
    store.remote = true;
    store.root = pulledroot(address, cache);
    return
  elseif strcmp(scheme, 'file')
    address = percentdecoded(address(8:end));
  elseif ~isempty(scheme)
    bidsmill.internal.fail('Store:address', ['a store at ' scheme ':// cannot be opened'], ...
      'found', address, 'expected', 'a folder, or s3://bucket/prefix', ...
      'to do', 'copy the store to a disk and open that folder');
  end
  store.root = bidsmill.internal.expanduser(address);
  if exist(fullfile(store.root, 'catalog.parquet'), 'file') ~= 2
    bidsmill.internal.fail('Store:notFound', 'there is no store at this address', ...
      'file', store.root, 'expected', 'a folder with a file catalog.parquet', ...
      'to do', 'check the path of the store');
  end
end

function root = pulledroot(address, cache)
  % What Python keeps of a remote store, under its address as it was written (data contract).
  bare = regexprep(address, '/+$', '');
  for spelling = {address, bare, [bare '/']}
    key = bidsmill.internal.sha256(bidsmill.internal.encodetext(spelling{1}));
    root = fullfile(cache, 'store', key(1:16));
    if exist(root, 'dir') == 7, return; end
  end
  bidsmill.internal.fail('Store:notPulled', ...
    'MATLAB reads remote stores from the cache, and this one is not there', ...
    'file', cache, 'found', address, ...
    'to do', ['run in a shell: bidsmill pull ' bare ' DATASET']);
end

function text = percentdecoded(text)
  place = regexp(text, '%[0-9A-Fa-f]{2}', 'start');
  if isempty(place), return; end
  codes = regexp(text, '%([0-9A-Fa-f]{2})', 'tokens');
  pieces = cell(2, numel(place));
  done = 0;
  for k = 1:numel(place)
    pieces{1, k} = bidsmill.internal.encodetext(text(done + 1:place(k) - 1));
    pieces{2, k} = uint8(hex2dec(codes{k}{1}));
    done = place(k) + 2;
  end
  bytes = [pieces{:} bidsmill.internal.encodetext(text(done + 1:end))];
  text = bidsmill.internal.decodetext(bytes);
end
