function hex = sha256file(file)
%SHA256FILE  SHA-256 of a file as 64 hexadecimal digits.
%   HEX = bidsmill.internal.sha256file(FILE)
%
%   Example
%     bidsmill.internal.sha256file('samples.tsv')
  if bidsmill.internal.isoctave()
    hex = hash('sha256', char(bidsmill.internal.readbytes(file)));
  elseif usejava('jvm')
    digest = java.security.MessageDigest.getInstance('SHA-256');
    fid = fopen(file, 'r');
    closing = onCleanup(@() fclose(fid));
    while ~feof(fid)
      block = fread(fid, 2^24, '*int8');
      if ~isempty(block), digest.update(block); end
    end
    hex = sprintf('%02x', typecast(digest.digest(), 'uint8'));
  else
    hex = bidsmill.internal.shellsha256(file);
  end
end
