function [value, names] = parsejson(text)
%PARSEJSON  Decode JSON and keep every key as it is written.
%   [VALUE, NAMES] = bidsmill.internal.parsejson(TEXT): jsondecode changes keys
%   that are no names of MATLAB variables. Here such a key becomes the field
%   key_1, key_2, ...; NAMES holds what they were (see keyname).
%
%   Example
%     [v, names] = bidsmill.internal.parsejson('{"a b": 1}');
%     bidsmill.internal.keyname('key_1', names)
  % Every string of the text in turn, so that none is found inside another; keys end in a colon.
  pattern = '"[^"\\]*(?:\\.[^"\\]*)*"(?:\s*:)?';
  [first, last, found] = regexp(text, pattern, 'start', 'end', 'match');
  iskey = text(last) == ':';
  first = first(iskey);
  last = last(iskey);
  found = found(iskey);
  plain = ~cellfun('isempty', regexp(found, '^"[A-Za-z][A-Za-z0-9_]{0,50}"', 'once'));
  strange = find(~plain | strncmp(found, '"key_', 5));
  names = cell(1, numel(strange));
  pieces = cell(2, numel(strange));
  done = 0;
  for k = 1:numel(strange)
    key = regexp(found{strange(k)}, '".*"', 'match', 'once');
    names(k) = jsondecode(['[' key ']']);
    pieces{1, k} = text(done + 1:first(strange(k)) - 1);
    pieces{2, k} = sprintf('"key_%d":', k);
    done = last(strange(k));
  end
  value = jsondecode([pieces{:} text(done + 1:end)]);
end
