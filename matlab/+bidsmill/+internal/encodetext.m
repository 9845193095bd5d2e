function bytes = encodetext(text)
%ENCODETEXT  Char as a row of bytes of UTF-8.
%   BYTES = bidsmill.internal.encodetext(TEXT); see decodetext.
%
%   Example
%     bytes = bidsmill.internal.encodetext('abc');
  if bidsmill.internal.isoctave()
    bytes = uint8(text);
  else
    bytes = unicode2native(text, 'UTF-8');
  end
  bytes = reshape(bytes, 1, []);
end
