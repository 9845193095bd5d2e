% Read every case that Python wrote, and compare rows, order, labels and values with Python's.
folder = getenv('BIDSMILL_TEST_FOLDER');
cases = jsondecode(fileread(fullfile(folder, 'cases.json')));
if isstruct(cases), cases = num2cell(cases); end
for k = 1:numel(cases)
  case_ = cases{k};
  arguments = eval(case_.arguments);
  ds = bidsmill.Datastore(getenv('BIDSMILL_TEST_STORE'), case_.dataset, arguments{:});
  shape = case_.shape(:).';
  fid = fopen(fullfile(folder, case_.values), 'r', 'ieee-le');
  expected = reshape(fread(fid, Inf, 'single=>single'), shape([3 2 1])); % times, channels, rows
  fclose(fid);
  assert(strcmp(ds.Version, case_.version), case_.arguments);
  assert(isequal(ds.Channels(:), case_.channels(:)), case_.arguments);
  assert(isequal(ds.Times, str2double(case_.times(:))), case_.arguments);
  assert(ds.SampleRate == case_.sfreq, case_.arguments);
  recording = column(ds, 'recording');
  row = column(ds, 'row');
  assert(isequal(recording(:), case_.recording(:)) && isequal(row(:), case_.row(:)), ...
    case_.arguments);
  columns = fieldnames(case_.columns);
  for c = 1:numel(columns)
    wanted = case_.columns.(columns{c});
    found = column(ds, wanted.name);
    if iscell(found)
      assert(isequal(found(:), wanted.values(:)), [case_.arguments ': ' wanted.name]);
    else
      numbers = str2double(wanted.values(:)); % jsondecode of Octave loses the last digit
      assert(isequal(isnan(found), isnan(numbers)), [case_.arguments ': ' wanted.name]);
      assert(isequal(found(~isnan(found)), numbers(~isnan(numbers))), ...
        [case_.arguments ': ' wanted.name]);
    end
  end
  for t = 1:numel(case_.targets)
    if case_.isnumber(t), case_.targets{t} = str2double(case_.targets{t}); end
  end
  n = 0;
  while hasdata(ds)
    [data, info] = read(ds);
    n = n + 1;
    assert(isequal(size(data), [1, 1 + numel(case_.targets)]));
    assert(isa(data{1}, 'single') && isequaln(data{1}, expected(:, :, n)), ...
      sprintf('%s: row %d', case_.arguments, n));
    assert(strcmp(info.Recording, recording{n}) && info.Row == row(n));
    for t = 1:numel(case_.targets)
      value = case_.targets{t}(n);
      if iscell(value), value = value{1}; end
      assert(isequal(data{1 + t}, value), sprintf('%s: target of row %d', case_.arguments, n));
    end
  end
  assert(n == shape(1), case_.arguments);
  every = labels(ds);
  if numel(case_.targets) == 1, every = {every}; end
  for t = 1:numel(case_.targets)
    assert(isequal(every{t}, case_.targets{t}(:)), case_.arguments);
  end
  if ~isempty(case_.classes), assert(isequal(ds.Classes(:), case_.classes(:))); end
end
printf('%d cases equal\n', numel(cases));
