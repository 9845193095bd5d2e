function hex = crc32file(file)
%CRC32FILE  CRC-32 of a file as 8 hexadecimal digits, '' where it cannot be taken.
%   HEX = bidsmill.internal.crc32file(FILE): that of gzip (RFC 1952), by Java in
%   MATLAB, else by gzip itself, which ends what it writes with it.
%
%   Example
%     bidsmill.internal.crc32file('samples.tsv')
  hex = '';
  if ~bidsmill.internal.isoctave() && usejava('jvm')
    checksum = java.util.zip.CRC32();
    fid = fopen(file, 'r');
    closing = onCleanup(@() fclose(fid));
    while ~feof(fid)
      block = fread(fid, 2^24, '*int8');
      if ~isempty(block), checksum.update(block); end
    end
    hex = sprintf('%08x', checksum.getValue());
    return
  end
  ending = [tempname() '.crc'];
  removing = onCleanup(@() removefile(ending));
  status = system(['gzip -1 -c ' bidsmill.internal.shellquote(file) ' | tail -c 8 > ' ...
    bidsmill.internal.shellquote(ending)]);
  if status ~= 0 || exist(ending, 'file') ~= 2, return; end
  bytes = bidsmill.internal.readbytes(ending);
  if numel(bytes) == 8, hex = sprintf('%02x', bytes(4:-1:1)); end
end

function removefile(file)
  if exist(file, 'file') == 2, delete(file); end
end
