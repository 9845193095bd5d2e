function file = storedfile(store, entry)
%STOREDFILE  The path of a file of a store on this machine, verified.
%   FILE = bidsmill.internal.storedfile(STORE, ENTRY): ENTRY is that of the
%   manifest (path, size, sha256). FILE is '' if a remote store's file was not
%   pulled; a file that is not what the manifest says is an error.
%
%   Example
%     file = bidsmill.internal.storedfile(store, manifest.files{1});
  parts = strsplit(entry.path, '/', 'CollapseDelimiters', false);
  if any(ismember(parts, {'', '.', '..'})) || any(entry.path == '\')
    bidsmill.internal.fail('Store:damagedFile', 'a name would leave its folder', ...
      'found', entry.path);
  end
  if store.remote
    extension = regexp(entry.name, '\.[^.]*$', 'match', 'once');
    file = fullfile(store.cache, 'file', [entry.sha256 extension]);
  else
    file = fullfile(store.root, parts{:});
  end
  found = dir(file);
  if isempty(found) && store.remote
    file = '';
    return
  end
  todo = 'copy this file again, or publish the dataset again';
  if store.remote, todo = 'delete this file, and run bidsmill pull again'; end
  if isempty(found)
    bidsmill.internal.fail('Store:missingFile', 'a file of the store is missing', ...
      'file', file, 'to do', todo);
  elseif found(1).bytes ~= entry.size
    bidsmill.internal.fail('Store:damagedFile', ...
      'a file of the store has another size than its manifest says', 'file', file, ...
      'found', sprintf('%d bytes', found(1).bytes), ...
      'expected', sprintf('%d bytes', entry.size), 'to do', todo);
  end
  digest = bidsmill.internal.sha256file(file);
  if ~strcmp(digest, entry.sha256)
    bidsmill.internal.fail('Store:damagedFile', ...
      'a file of the store has another content than its manifest says', 'file', file, ...
      'found', ['sha256 ' digest], 'expected', ['sha256 ' entry.sha256], 'to do', todo);
  end
end
