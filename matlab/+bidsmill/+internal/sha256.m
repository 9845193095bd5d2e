function hex = sha256(bytes)
%SHA256  SHA-256 of bytes as 64 hexadecimal digits.
%   HEX = bidsmill.internal.sha256(BYTES) takes a row of uint8.
%
%   Example
%     bidsmill.internal.sha256(uint8('abc'))
  if bidsmill.internal.isoctave()
    hex = hash('sha256', char(bytes));
  elseif usejava('jvm')
    digest = java.security.MessageDigest.getInstance('SHA-256');
    if ~isempty(bytes), digest.update(typecast(bytes, 'int8')); end
    hex = sprintf('%02x', typecast(digest.digest(), 'uint8'));
  else
    file = tempname();
    removing = onCleanup(@() delete(file));
    fid = fopen(file, 'w');
    fwrite(fid, bytes, 'uint8');
    fclose(fid);
    hex = bidsmill.internal.shellsha256(file);
  end
end
