function record = cacherecord(file)
%CACHERECORD  The record of an entry of the cache, or [] without a readable one.
%   RECORD = bidsmill.internal.cacherecord(FILE) has the field size, and sha256 or
%   crc32 of the array.
%
%   Example
%     record = bidsmill.internal.cacherecord([base '.json']);
  record = [];
  if exist(file, 'file') ~= 2, return; end
  try
    record = jsondecode(char(bidsmill.internal.readbytes(file)));
    kinds = {'sha256', 'crc32'};
    stated = kinds(isfield(record, kinds));
    if ~isnumeric(record.size) || ~any(cellfun(@(kind) ischar(record.(kind)), stated))
      record = [];
    end
  catch
    record = [];
  end
end
