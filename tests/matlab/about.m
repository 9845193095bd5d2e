% Catalogue and contents, as Python tells them.
store = getenv('BIDSMILL_TEST_STORE');
expected = jsondecode(fileread(fullfile(getenv('BIDSMILL_TEST_FOLDER'), 'about.json')));
datasets = bidsmill.catalog(store);
assert(isequal(datasets, expected.catalog));
about = bidsmill.info(store, 'faces');
assert(strcmp(about.version, expected.version) && strcmp(about.name, expected.name));
assert(isequal(about.columns(:), expected.columns(:)));
assert(isequal(about.splits, expected.splits));
assert(isequal({about.labels.name}.', expected.labels));
assert(isequal(about.labels(1).classes(:), expected.classes(:)));
assert(isequal({about.layouts.id}.', expected.layouts));
assert(isequal(about.layouts(1).channels(:), expected.channels(:)));
