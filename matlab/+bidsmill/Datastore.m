classdef Datastore < matlab.io.Datastore & matlab.io.datastore.Subsettable
%DATASTORE  Windows and labels of a dataset of a bidsmill store.
%   DS = bidsmill.Datastore(STORE, DATASET) gives every window of a dataset that
%   has no quality reason against it. STORE is a folder, or the s3:// address of
%   a store that was pulled into the cache. DATASET is an id, or id@snapshot.
%
%   DS = bidsmill.Datastore(STORE, DATASET, NAME, VALUE, ...) takes
%     'Split'     'train', 'validation', 'test', 'none', or a list of them
%     'Target'    a label or a column of samples, or a list of them; windows
%                 without a value are left out
%     'Where'     conditions on columns: {'task', 'faces'; 'run', {'1', '2'}},
%                 {'participant_age', '>', 30}, a struct (column = value), or text
%                 such as 'onset >= 10 and run in [''1'', ''2'']'
%     'Channels'  names of columns or as in the source file, a channel type such
%                 as 'eeg', or 'common' (what all recordings share)
%     'Version'   a snapshot or a version (default: the latest)
%     'Excluded'  true: windows with a quality reason, too
%     'TargetAs'  classes as 'categorical' (default), 'text' or 'index' (number
%                 of the class in Classes); in Octave 'text' is the default
%     'Cache'     folder of decoded matrices (default: bidsmill.cachefolder)
%
%   [DATA, INFO] = read(DS) returns {X} or {X, Y, ...}: X is single, time x
%   channel, in SI units; Y is the target. INFO is a struct: Recording, Row (of
%   the matrix, from 0), Position (row of samples, from 1), File. Windows, order,
%   labels and values are those of bidsmill.open(...)[...].select(...) in Python.
%   shuffle, subset, partition, combine, transform, readall and preview work as
%   for every datastore.
%
%   column(DS, NAME) returns a column of samples for these windows, labels(DS)
%   the targets, without reading a signal.
%
%   Example
%     ds = bidsmill.Datastore('results/store', 'sample', 'Split', 'train', ...
%       'Target', 'stimulus');
%     data = read(ds);
%     plot(ds.Times, data{1})
%
%   See also bidsmill.catalog, bidsmill.info, bidsmill.pull.
  properties (SetAccess = private)
    Address = ''       % of the store
    Dataset = ''       % id
    Version = ''       % version in the store
    Snapshot = ''      % version of the archive
    Channels = {}      % names of the columns of X
    Types = {}         % MNE's lower-case channel types
    Units = {}         % V, T, T/m, ...
    SampleRate = []    % Hz
    Times = []         % of the rows of X in s, relative to the event
    Targets = {}       % names
    Classes = {}       % of the target, in the order of their index; several targets: a list each
    TargetAs = 'text'
  end
  properties (Access = private)
    Store = []
    About = []         % of the manifest: what column needs
    Entries = {}
    Columns = {}
    Positions = []
    Rows = []
    File = []
    Values = {}
    ClassValues = {}
    Order = []
    Cursor = 1
    Mapped = false
  end
  properties (Access = private, Transient) % what is not sent to parallel workers
    Table = []
    Open = []
  end
  properties (Constant, Access = private)
    MaxOpen = 256
  end
  methods
    function ds = Datastore(store, dataset, varargin)
      if nargin == 0, return; end % for copyElement
      options = bidsmill.internal.parsed('Datastore', varargin);
      ds.Store = bidsmill.internal.openstore(store, options.Cache);
      manifest = bidsmill.internal.openversion(ds.Store, dataset, options.Version);
      selection = bidsmill.internal.selected(ds.Store, manifest, options);
      ds.Address = ds.Store.address;
      ds.Dataset = manifest.dataset;
      ds.Version = manifest.version;
      ds.Snapshot = manifest.snapshot;
      ds.Entries = selection.entries;
      ds.Positions = selection.positions;
      ds.Rows = selection.rows;
      ds.File = selection.file;
      ds.Order = (1:numel(ds.Rows)).';
      ds.Mapped = exist('memmapfile') ~= 0; %#ok<EXIST>
      setview(ds, manifest, options.Channels);
      ofsamples = cellfun(@(entry) strcmp(entry.kind, 'samples'), manifest.files);
      ds.About = struct('dataset', manifest.dataset, 'files', {manifest.files(ofsamples)}, ...
        'labels', manifest.labels, 'keys', {manifest.keys});
      settargets(ds, selection.targets, options.TargetAs);
      checkpresent(ds);
    end

    function tf = hasdata(ds)
      tf = ds.Cursor <= numel(ds.Order);
    end

    function [data, info] = read(ds)
      if ~hasdata(ds)
        bidsmill.internal.fail('Datastore:noData', 'all windows are read', ...
          'to do', 'reset(ds) begins again');
      end
      i = ds.Order(ds.Cursor);
      data = cell(1, 1 + numel(ds.Values));
      data{1} = window(ds, i);
      for k = 1:numel(ds.Values)
        data{1 + k} = targetvalue(ds, k, i);
      end
      ds.Cursor = ds.Cursor + 1;
      entry = ds.Entries{ds.File(i)};
      info = struct('Recording', entry.recording, 'Row', ds.Rows(i), ...
        'Position', ds.Positions(i), 'File', entry.path);
    end

    function reset(ds)
      ds.Cursor = 1;
    end

    function values = column(ds, name)
      %COLUMN  A column of samples for these windows, in their order.
      %   VALUES = column(DS, NAME): cellstr ('' where missing), or double for
      %   row, onset, start, stop, event, quality_* and labels that are numbers.
      name = bidsmill.internal.chars(name);
      if isempty(ds.Table)
        ds.Table = bidsmill.internal.opentable(ds.Store, ds.About, 'samples');
      end
      if bidsmill.internal.isnumbercolumn(ds.About, name)
        values = bidsmill.internal.numbersof(ds.Table, name);
      else
        values = bidsmill.internal.columnof(ds.Table, name);
      end
      values = values(ds.Positions(ds.Order));
    end

    function values = labels(ds)
      %LABELS  The targets of these windows, in their order.
      %   VALUES = labels(DS): one column in the form of read (several targets:
      %   a cell array of columns).
      every = cell(1, numel(ds.Values));
      for k = 1:numel(ds.Values)
        every{k} = targetvalue(ds, k, ds.Order);
      end
      values = every;
      if isscalar(every), values = every{1}; end
    end
  end
  methods (Hidden)
    function fraction = progress(ds)
      fraction = (ds.Cursor - 1) / max(1, numel(ds.Order));
    end
  end
  methods (Access = private)
    function setview(ds, manifest, channels)
      view = bidsmill.internal.channelview(ds.Store, manifest, ds.Entries, channels);
      ds.Channels = view.names;
      ds.Types = view.types;
      ds.Units = view.units;
      ds.SampleRate = view.sfreq;
      ds.Times = view.tmin + (0:view.n_times - 1).' / view.sfreq;
      ds.Columns = view.columns;
    end

    function settargets(ds, targets, form)
      ds.TargetAs = form;
      ds.Targets = cellfun(@(target) target.name, targets, 'UniformOutput', false);
      ds.Values = cellfun(@(target) target.values, targets, 'UniformOutput', false);
      ds.Classes = cellfun(@(target) target.classes, targets, 'UniformOutput', false);
      ds.ClassValues = ds.Classes;
      if strcmp(form, 'categorical')
        for k = find(~cellfun(@isnumeric, ds.Classes))
          ds.ClassValues{k} = categorical(ds.Classes{k}(:), ds.Classes{k}(:));
        end
      end
      if isscalar(ds.Classes), ds.Classes = ds.Classes{1}; end
    end

    function checkpresent(ds)
      % Said here, and not in the middle of a training.
      if bidsmill.internal.hasparquet(), return; end
      folder = fullfile(ds.Store.cache, 'matrix');
      lacks = @(entry) exist(fullfile(folder, [entry.sha256 '.npy']), 'file') ~= 2;
      missing = find(cellfun(lacks, ds.Entries));
      if ds.Store.remote
        missing = missing(arrayfun(@(file) isempty(partof(ds, file)), missing));
      end
      if ~isempty(missing), absent(ds, numel(missing)); end
    end

    function part = partof(ds, file)
      part = bidsmill.internal.cachedpart(ds.Store.cache, ds.Entries{file}, ...
        ds.Columns{file}, ds.Rows(ds.File == file));
    end

    function absent(ds, count)
      bidsmill.internal.fail('Cache:missing', sprintf( ...
        '%d of %d matrices are not decoded in the cache, and there is no parquetread', count, ...
        numel(ds.Entries)), 'file', ds.Store.cache, 'to do', ...
        ['run in a shell: bidsmill pull ' bidsmill.internal.shellquote(ds.Address) ' ' ...
        ds.Dataset '@' ds.Version]);
    end

    function value = targetvalue(ds, k, i)
      value = ds.Values{k}(i);
      classes = ds.ClassValues{k};
      if isnumeric(classes) || strcmp(ds.TargetAs, 'index'), return; end
      if iscell(classes) && isscalar(i)
        value = classes{value};
      else
        value = reshape(classes(value), [], 1);
      end
    end

    function X = window(ds, i)
      file = ds.File(i);
      if isempty(ds.Open) || ds.Open.count > ds.MaxOpen
        ds.Open = struct('count', 0, 'matrix', {cell(1, numel(ds.Entries))});
      end
      matrix = ds.Open.matrix{file};
      if isempty(matrix)
        matrix = openmatrix(ds, file);
        ds.Open.matrix{file} = matrix;
        ds.Open.count = ds.Open.count + 1;
      end
      row = ds.Rows(i);
      if ~isempty(matrix.rowat), row = matrix.rowat(row + 1); end
      if isempty(matrix.map)
        X = bidsmill.internal.readwindow(matrix.file, matrix.offset, matrix.shape, row);
        X = X(:, matrix.columns);
      else
        X = matrix.map.Data.x(:, matrix.columns, row + 1);
      end
    end

    function matrix = openmatrix(ds, file)
      entry = ds.Entries{file};
      [array, offset] = bidsmill.internal.cachedmatrix(ds.Store.cache, entry);
      matrix = struct('file', array, 'offset', offset, 'shape', double(entry.shape(:).'), ...
        'columns', ds.Columns{file}, 'rowat', []);
      if isempty(array) && ds.Store.remote
        part = partof(ds, file);
        if ~isempty(part), matrix = part; end
      end
      if isempty(matrix.file)
        if ~bidsmill.internal.hasparquet(), absent(ds, 1); end
        bidsmill.internal.decodematrix(ds.Store, entry);
        [matrix.file, matrix.offset] = bidsmill.internal.cachedmatrix(ds.Store.cache, entry);
      end
      if isempty(matrix.file)
        bidsmill.internal.fail('Cache:damaged', 'a decoded matrix is not what was written', ...
          'file', ds.Store.cache, 'to do', 'check the disk of the cache folder');
      end
      matrix.map = [];
      if ds.Mapped
        matrix.map = memmapfile(matrix.file, 'Offset', matrix.offset, 'Repeat', 1, ...
          'Format', {'single', matrix.shape([3 2 1]), 'x'});
      end
    end
  end
  methods (Access = protected)
    function n = maxpartitions(ds)
      n = numel(ds.Order);
    end

    function sub = subsetByReadIndices(ds, indices)
      sub = copy(ds);
      sub.Order = reshape(ds.Order(indices), [], 1);
      reset(sub);
    end

    function other = copyElement(ds)
      other = bidsmill.Datastore();
      names = {'Address', 'Dataset', 'Version', 'Snapshot', 'Channels', 'Types', 'Units', ...
        'SampleRate', 'Times', 'Targets', 'Classes', 'TargetAs', 'Store', 'Table', 'Entries', ...
        'Columns', 'Positions', 'Rows', 'File', 'Values', 'ClassValues', 'Order', 'Cursor', ...
        'Mapped', 'Open', 'About'};
      for k = 1:numel(names)
        other.(names{k}) = ds.(names{k});
      end
    end
  end
end
