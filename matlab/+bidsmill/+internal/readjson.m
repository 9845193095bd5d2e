function [value, names, bytes] = readjson(file)
%READJSON  Read a JSON file of a store (see parsejson).
%   [VALUE, NAMES, BYTES] = bidsmill.internal.readjson(FILE)
%
%   Example
%     pointer = bidsmill.internal.readjson('latest.json');
  bytes = bidsmill.internal.readbytes(file);
  try
    [value, names] = bidsmill.internal.parsejson(bidsmill.internal.decodetext(bytes));
  catch problem
    bidsmill.internal.fail('Store:damagedFile', 'a file cannot be read as JSON', ...
      'file', file, 'found', problem.message, 'to do', 'copy the store again');
  end
end
