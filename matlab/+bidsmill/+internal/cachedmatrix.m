function [file, offset] = cachedmatrix(cache, entry)
%CACHEDMATRIX  The decoded whole matrix of the shared cache, if it is right.
%   [FILE, OFFSET] = bidsmill.internal.cachedmatrix(CACHE, ENTRY): ENTRY is that
%   of the manifest (sha256, shape). FILE is '' if there is none (see cachedarray).
%
%   Example
%     [file, offset] = bidsmill.internal.cachedmatrix(bidsmill.cachefolder(), entry);
  base = fullfile(cache, 'matrix', entry.sha256);
  [file, offset] = bidsmill.internal.cachedarray(base, double(entry.shape(:).'));
end
