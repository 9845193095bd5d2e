function table = parquetread(file, varargin)
% PARQUETREAD  Stands in for MATLAB's function of this name in GNU Octave, by pyarrow.
assert(isequal(varargin, {'VariableNamingRule', 'preserve'}));
converted = [tempname() '.mat'];
script = fullfile(fileparts(mfilename('fullpath')), 'parquet_columns.py');
[status, printed] = system(sprintf('"%s" "%s" "%s" "%s"', getenv('BIDSMILL_TEST_PYTHON'), ...
  script, file, converted));
if status ~= 0, error('parquetread: %s', printed); end
content = load(converted);
delete(converted);
totext = @(bytes) char(reshape(bytes, 1, []));
names = cellfun(totext, content.names(:).', 'UniformOutput', false);
table = struct('Properties', struct('VariableNames', {names}));
for k = 1:numel(names)
  values = content.values{k};
  if iscell(values) && ~isempty(values) && ~isa(values{1}, 'single')
    values = cellfun(totext, values, 'UniformOutput', false);
  end
  table.(names{k}) = values;
end
end
