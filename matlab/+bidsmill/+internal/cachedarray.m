function [file, offset] = cachedarray(base, shape)
%CACHEDARRAY  An array of the shared cache, if it is whole and right.
%   [FILE, OFFSET] = bidsmill.internal.cachedarray(BASE, SHAPE): BASE is the path
%   without .npy or .json, SHAPE what the array must have. FILE is '' if there is
%   none. Header, size and record must fit; an array whose time is not that of
%   the record, or that was not synced before the system started anew, is read
%   and compared with its checksum.
%
%   Example
%     [file, offset] = bidsmill.internal.cachedarray(base, [8 5 16]);
  file = '';
  offset = [];
  array = [base '.npy'];
  found = dir(array);
  record = bidsmill.internal.cacherecord([base '.json']);
  if isempty(found) || isempty(record) || found(1).bytes ~= record.size, return; end
  [offset, stated] = bidsmill.internal.readnpyheader(array);
  if ~isequal(stated, shape) || found(1).bytes ~= offset + 4 * prod(shape), return; end
  if ~(sametime(array, found(1), record) && samestart(record)) && ~samecontent(array, record)
    return
  end
  file = array;
  markused([base '.json']);
end

function tf = sametime(file, found, record)
  % The systems of MATLAB and Octave give whole seconds; the record has nanoseconds.
  tf = false;
  if ~isfield(record, 'mtime_ns') || isempty(record.mtime_ns), return; end
  if bidsmill.internal.isoctave()
    details = stat(file);
    seconds = details.mtime;
  else
    seconds = posixtime(datetime(found.datenum, 'ConvertFrom', 'datenum', 'TimeZone', 'local'));
  end
  tf = abs(seconds - record.mtime_ns / 1e9) < 2;
end

function tf = samestart(record)
  % A loss of power may have left an array of the right size and of other content.
  tf = ~isfield(record, 'not_synced_since') || isempty(record.not_synced_since);
  if tf, return; end
  start = '/proc/sys/kernel/random/boot_id';
  tf = exist(start, 'file') == 2 && strcmp(strtrim(fileread(start)), record.not_synced_since);
end

function tf = samecontent(file, record)
  if isfield(record, 'sha256')
    tf = strcmp(bidsmill.internal.sha256file(file), record.sha256);
  else
    tf = strcmp(bidsmill.internal.crc32file(file), record.crc32);
  end
end

function markused(record)
  % The time of the record is the last use: what was used longest ago is removed first.
  if bidsmill.internal.isoctave() || ~usejava('jvm'), return; end
  try
    java.io.File(record).setLastModified(java.lang.System.currentTimeMillis());
  catch
    % A folder that can only be read keeps its times.
  end
end
