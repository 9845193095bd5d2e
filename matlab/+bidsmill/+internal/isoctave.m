function tf = isoctave()
%ISOCTAVE  Whether this is GNU Octave.
%   TF = bidsmill.internal.isoctave()
%
%   Example
%     bidsmill.internal.isoctave()
  tf = exist('OCTAVE_VERSION', 'builtin') ~= 0;
end
