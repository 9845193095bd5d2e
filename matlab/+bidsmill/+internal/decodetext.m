function text = decodetext(bytes)
%DECODETEXT  UTF-8 as char.
%   TEXT = bidsmill.internal.decodetext(BYTES): a char of MATLAB is a unit of
%   UTF-16, one of Octave is a byte of UTF-8.
%
%   Example
%     text = bidsmill.internal.decodetext(uint8('abc'));
  if bidsmill.internal.isoctave()
    text = char(bytes);
  else
    text = native2unicode(bytes, 'UTF-8');
  end
end
