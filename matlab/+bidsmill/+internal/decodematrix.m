function decodematrix(store, entry)
%DECODEMATRIX  Decode a matrix by parquetread into the cache that Python shares.
%   bidsmill.internal.decodematrix(STORE, ENTRY) writes {cache}/matrix/{sha256}.npy
%   and its record, both whole or not at all. Rows of an .npy file follow one
%   another as channels x times in C order: a column-major times x channels x rows.
%
%   Example
%     bidsmill.internal.decodematrix(store, entry);
  file = bidsmill.internal.storedfile(store, entry);
  if isempty(file)
    bidsmill.internal.fail('Cache:missing', 'a matrix is not on this machine', ...
      'file', entry.path, 'to do', ['run in a shell: bidsmill pull ' store.address ' DATASET']);
  end
  shape = double(entry.shape(:).');
  signal = assembled(bidsmill.internal.readparquet(file), shape, file);
  folder = fullfile(store.cache, 'matrix');
  if exist(folder, 'dir') ~= 7, mkdir(folder); end
  base = fullfile(folder, entry.sha256);
  [~, unique] = fileparts(tempname());
  part = fullfile(folder, ['.' entry.sha256 '.npy.' unique '.part']);
  removing = onCleanup(@() removefile(part));
  writebytes(part, {bidsmill.internal.npyheader(shape), signal});
  details = dir(part);
  record = sprintf('{\n "size": %d,\n "sha256": "%s"\n}\n', details(1).bytes, ...
    bidsmill.internal.sha256file(part));
  recordpart = fullfile(folder, ['.' entry.sha256 '.json.' unique '.part']);
  removingrecord = onCleanup(@() removefile(recordpart));
  writebytes(recordpart, {uint8(record)});
  bidsmill.internal.renamefile(recordpart, [base '.json']);
  bidsmill.internal.renamefile(part, [base '.npy']);
end

function signal = assembled(columns, shape, file)
  signal = zeros(shape([3 2 1]), 'single');
  if prod(shape) == 0, return; end
  whole = numel(columns.names) == 1 && shape(2) > 1024; % one column with all channels
  lengths = shape(3);
  if whole, lengths = shape(2) * shape(3); end
  if columns.height ~= shape(1) || ~(whole || numel(columns.names) == shape(2))
    bidsmill.internal.fail('Store:damagedFile', ...
      'a matrix has another shape than its manifest says', 'file', file, ...
      'found', sprintf('%d rows, %d columns', columns.height, ...
      numel(columns.names)), 'expected', mat2str(shape));
  end
  for k = 1:numel(columns.names)
    rows = columns.values{k};
    if ~iscell(rows) || any(cellfun('length', rows) ~= lengths)
      bidsmill.internal.fail('Parquet:unreadable', ...
        'parquetread does not give a column of this file as lists of numbers', 'file', file, ...
        'to do', 'use MATLAB R2023a or later, or run bidsmill pull in a shell');
    end
    rows = cellfun(@(row) single(row(:)), rows(:).', 'UniformOutput', false);
    values = [rows{:}];
    if whole
      signal(:) = values(:);
    else
      signal(:, k, :) = reshape(values, shape(3), 1, shape(1));
    end
  end
end

function writebytes(file, blocks)
  fid = fopen(file, 'w', 'ieee-le');
  good = fid >= 0;
  for k = 1:numel(blocks)
    good = good && fwrite(fid, blocks{k}, class(blocks{k})) == numel(blocks{k});
  end
  if fid >= 0, good = fclose(fid) == 0 && good; end
  if ~good
    bidsmill.internal.fail('Cache:notWritable', 'a file of the cache cannot be written', ...
      'file', file, 'to do', 'set BIDSMILL_CACHE to a folder with space');
  end
end

function removefile(file)
  if exist(file, 'file') == 2, delete(file); end
end
