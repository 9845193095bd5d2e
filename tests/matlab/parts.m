% The parts below the datastore, each against a known answer.
% JSON keys stay as they are written, also where jsondecode would change or join them.
[value, names] = bidsmill.internal.parsejson(['{"a b": {"1x": 1, "key_3": 2, "ok": ":"}, ' ...
  '"q\"\\": ["a\"b", ":c", "d"], "": [], "x": "\"y\": {"}']);
fields = fieldnames(value);
found = cellfun(@(field) bidsmill.internal.keyname(field, names), fields, 'UniformOutput', false);
assert(isequal(found, {'a b'; 'q"\'; ''; 'x'}));
inner = fieldnames(value.(fields{1}));
found = cellfun(@(field) bidsmill.internal.keyname(field, names), inner, 'UniformOutput', false);
assert(isequal(found, {'1x'; 'key_3'; 'ok'}));
assert(isequal(value.(fields{2}), {'a"b'; ':c'; 'd'}) && strcmp(value.x, '"y": {'));

% SHA-256 of "abc": FIPS 180-2, appendix B.1.
known = 'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad';
assert(strcmp(bidsmill.internal.sha256(uint8('abc')), known));
folder = getenv('BIDSMILL_TEST_FOLDER');
file = fullfile(folder, 'it''s "a" \name $x.txt');
fid = fopen(file, 'w');
fwrite(fid, 'abc');
fclose(fid);
assert(strcmp(bidsmill.internal.sha256file(file), known));
assert(strcmp(bidsmill.internal.shellsha256(file), known));
% CRC-32 of "abc", as zlib computes it.
assert(strcmp(bidsmill.internal.crc32file(file), '352441c2'));

assert(strcmp(bidsmill.internal.shellquote('s3://b/p_1'), 's3://b/p_1'));
assert(strcmp(bidsmill.internal.shellquote('a $x'), '''a $x'''));

% Numbers in text.
numbers = bidsmill.internal.tonumbers({'1', '-2.5e-3', '.5', '5.', ' 7 ', '1,5', '1_0', '0x10', ...
  '', 'n/a', 'nan', 'inf', '-Infinity', '1+2i', '1d3', '0.1', '1.7976931348623157e308'});
assert(isequaln(numbers, [1 -2.5e-3 .5 5 7 NaN NaN NaN NaN NaN NaN Inf -Inf NaN NaN 0.1 realmax]));

% The cache folder.
setenv('BIDSMILL_CACHE', '~/somewhere');
assert(strcmp(bidsmill.cachefolder(), [getenv('HOME') '/somewhere']));
setenv('BIDSMILL_CACHE', '');
setenv('XDG_CACHE_HOME', '/xdg');
if ~ismac() && ~ispc()
  assert(strcmp(bidsmill.cachefolder(), '/xdg/bidsmill'));
  setenv('XDG_CACHE_HOME', '');
  assert(strcmp(bidsmill.cachefolder(), [getenv('HOME') '/.cache/bidsmill']));
end
