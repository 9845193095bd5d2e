function bytes = readbytes(file)
%READBYTES  The content of a file as a row of uint8.
%   BYTES = bidsmill.internal.readbytes(FILE)
%
%   Example
%     bytes = bidsmill.internal.readbytes('latest.json');
  fid = fopen(file, 'r');
  if fid < 0
    bidsmill.internal.fail('Store:missingFile', 'a file is missing or cannot be read', ...
      'file', file, 'to do', 'copy the store again, or publish the dataset again');
  end
  closing = onCleanup(@() fclose(fid));
  bytes = fread(fid, [1 Inf], '*uint8');
end
