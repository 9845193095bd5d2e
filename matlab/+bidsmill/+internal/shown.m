function text = shown(value)
%SHOWN  A value as text for an error: itself if it is text, else its class.
%   TEXT = bidsmill.internal.shown(VALUE)
%
%   Example
%     bidsmill.internal.shown(3)
  text = class(value);
  if ischar(value), text = value; end
end
