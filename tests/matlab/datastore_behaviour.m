% What every datastore can do: reset, copy, subset, partition, shuffle, readall, preview.
store = getenv('BIDSMILL_TEST_STORE');
ds = bidsmill.Datastore(store, 'faces', 'Channels', 'common', 'Target', 'face');
n = numpartitions(ds);
assert(n == numel(column(ds, 'row')));
assert(isPartitionable(ds) && isShuffleable(ds) && isSubsettable(ds));
assert(progress(ds) == 0 && hasdata(ds));
first = read(ds);
second = read(ds);
assert(abs(progress(ds) - 2 / n) < 1e-12);
assert(isequal(preview(ds), first) && abs(progress(ds) - 2 / n) < 1e-12);

other = copy(ds);
third = read(ds);
assert(isequal(read(other), third) && ~isequal(third, second));
every = readall(ds);
assert(isequal(size(every), [n 2]) && isequal(every(3, :), third));
while hasdata(ds), read(ds); end
assert(progress(ds) == 1);
try
  read(ds);
  error('reading past the end');
catch problem
  assert(strcmp(problem.identifier, 'bidsmill:Datastore:noData'), problem.message);
end
reset(ds);
assert(isequal(read(ds), first));

% A subset keeps order and repeats, and leaves the datastore as it is.
some = subset(ds, [5 2 2 n]);
assert(isequal(readall(some), every([5 2 2 n], :)));
assert(isequal(labels(some), every([5 2 2 n], 2)));
position = column(ds, 'onset');
assert(isequal(column(some, 'onset'), position([5 2 2 n])));
assert(isequal(readall(subset(some, [4 1])), every([n 5], :)));
chosen = false(n, 1);
chosen([1 3]) = true;
assert(isequal(readall(subset(ds, chosen)), every([1 3], :)));
empty = subset(ds, zeros(0, 1));
assert(~hasdata(empty) && isempty(readall(empty)) && isempty(labels(empty)));

% Partitions are disjoint, complete and in order.
parts = cell(1, 3);
for k = 1:3, parts{k} = readall(partition(ds, 3, k)); end
assert(isequal(vertcat(parts{:}), every));

% A shuffle has every window once, with its own label.
mixed = shuffle(ds);
found = readall(mixed);
order = zeros(n, 1);
for k = 1:n
  order(k) = find(cellfun(@(x) isequal(x, found{k, 1}), every(:, 1)));
end
assert(isequal(sort(order), (1:n).') && isequal(found, every(order, :)));
assert(isequal(column(mixed, 'onset'), position(order)));

% Forms of the target.
index = bidsmill.Datastore(store, 'faces', 'Channels', 'common', 'Target', 'face', ...
  'TargetAs', 'index');
codes = labels(index);
assert(isequal(index.Classes(codes).', every(:, 2)));
data = read(index);
assert(isa(data{2}, 'double') && data{2} == codes(1));
addpath(fullfile(fileparts(mfilename('fullpath')), 'categories'));
kinds = bidsmill.Datastore(store, 'faces', 'Channels', 'common', 'Target', {'face', 'rt'}, ...
  'TargetAs', 'categorical');
data = read(kinds);
assert(strcmp(data{2}.text, every{find(~isnan(position), 1), 2}) || ischar(data{2}.text));
assert(isequal(data{2}.order, kinds.Classes{1}(:)) && isa(data{3}, 'double'));
without = bidsmill.Datastore(store, 'faces', 'Channels', 'common');
assert(isequal(size(read(without)), [1 1]));
