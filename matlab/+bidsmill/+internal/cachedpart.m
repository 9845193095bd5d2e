function part = cachedpart(cache, entry, columns, rows)
%CACHEDPART  Some channels and rows of a remote matrix in the shared cache.
%   PART = bidsmill.internal.cachedpart(CACHE, ENTRY, COLUMNS, ROWS): COLUMNS of
%   the matrix count from 1, ROWS from 0. PART is [] if no entry holds them all,
%   else a struct: file, offset, shape; columns (those wanted, in the array, from
%   1) and rowat (row of the matrix + 1 -> row of the array, from 0).
%
%   Example
%     part = bidsmill.internal.cachedpart(cache, entry, 1:2, 0:7);
  part = [];
  folder = fullfile(cache, 'part', entry.sha256);
  found = dir(fullfile(folder, '*.json'));
  for k = 1:numel(found)
    [~, key] = fileparts(found(k).name);
    record = bidsmill.internal.cacherecord(fullfile(folder, found(k).name));
    if ~all(isfield(record, {'channels', 'group_rows'})), continue; end
    channels = double(record.channels(:).') + 1;
    [has, own] = ismember(columns, channels);
    [rowat, count] = placed(double(record.group_rows), double(entry.shape(1)));
    if ~all(has) || any(rowat(rows + 1) < 0), continue; end
    shape = [count, numel(channels), double(entry.shape(3))];
    [file, offset] = bidsmill.internal.cachedarray(fullfile(folder, key), shape);
    if isempty(file), continue; end
    part = struct('file', file, 'offset', offset, 'shape', shape, 'columns', own, ...
      'rowat', rowat);
    return
  end
end

function [rowat, count] = placed(groups, total)
  if numel(groups) == 2, groups = reshape(groups, 1, 2); end
  rowat = -ones(total, 1);
  count = 0;
  for k = 1:size(groups, 1)
    size_ = groups(k, 2) - groups(k, 1);
    rowat(groups(k, 1) + 1:groups(k, 2)) = count + (0:size_ - 1);
    count = count + size_;
  end
end
