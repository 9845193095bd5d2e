function view = channelview(store, manifest, entries, request)
%CHANNELVIEW  The channels of a window, and where they are in every matrix.
%   VIEW = bidsmill.internal.channelview(STORE, MANIFEST, ENTRIES, REQUEST):
%   ENTRIES are the matrices that rows come from (cell array of manifest entries);
%   REQUEST is [] (all channels, of one layout), 'common' (those that all layouts
%   share with type and unit), a channel type such as 'eeg', or names of columns
%   or as in the source file. VIEW is a struct: names, types, units (row
%   cellstr), sfreq, tmin, n_times, and columns (per entry, counted from 1).
%
%   Example
%     view = bidsmill.internal.channelview(store, manifest, entries, {'Fz', 'Cz'});
  request = bidsmill.internal.chars(request);
  ids = cellfun(@(entry) entry.layout, entries, 'UniformOutput', false);
  distinct = unique(ids, 'stable');
  [~, which] = ismember(ids, distinct);
  layouts = cellfun(@(id) bidsmill.internal.layoutof(manifest, id), distinct, ...
    'UniformOutput', false);
  checktimes(layouts);
  if isempty(request) && isnumeric(request)
    if numel(layouts) > 1, cannotstack('their channels differ', layouts); end
    wanted = layouts{1}.channels;
  elseif ischar(request) && strcmp(request, 'common')
    wanted = common(layouts);
  else
    wanted = named(layouts, request);
  end
  if isempty(wanted) || numel(unique(wanted)) < numel(wanted)
    bidsmill.internal.fail('Datastore:channels', 'channels are named twice, or none is', ...
      'found', strjoin(wanted, ', '));
  end
  view = struct('names', {wanted}, 'types', {{}}, 'units', {{}}, 'sfreq', layouts{1}.sfreq, ...
    'tmin', layouts{1}.tmin, 'n_times', layouts{1}.n_times, 'columns', {cell(1, numel(entries))});
  sources = [];
  for k = 1:numel(entries)
    layout = layouts{which(k)};
    [found, columns] = ismember(wanted, layout.channels);
    if ~all(found)
      if isempty(sources), sources = sourcenames(store, manifest); end
      columns = resolved(wanted, layout, entries{k}.recording, sources, layouts);
    end
    view = checked(view, layout, columns);
    view.columns{k} = columns;
  end
end

function checktimes(layouts)
  % Half a sample is the tolerance of tmin.
  first = layouts{1};
  for k = 2:numel(layouts)
    other = layouts{k};
    if other.sfreq ~= first.sfreq || other.n_times ~= first.n_times ...
        || abs(other.tmin - first.tmin) * first.sfreq >= 0.5
      cannotstack('their time axes differ', layouts);
    end
  end
end

function wanted = common(layouts)
  wanted = layouts{1}.channels;
  for k = 2:numel(layouts)
    wanted = wanted(ismember(wanted, layouts{k}.channels));
  end
  same = true(size(wanted));
  for c = 1:numel(wanted)
    one = describedas(layouts{1}, wanted{c});
    same(c) = all(cellfun(@(layout) strcmp(describedas(layout, wanted{c}), one), layouts));
  end
  wanted = wanted(same);
  if isempty(wanted), cannotstack('they have no channel in common', layouts); end
end

function text = describedas(layout, name)
  at = find(strcmp(name, layout.channels), 1);
  text = [layout.types{at} ' in ' layout.units{at}];
end

function wanted = named(layouts, request)
  wanted = bidsmill.internal.textlist('Channels', request);
  if ~ischar(request), return; end
  oftype = cellfun(@(layout) layout.channels(strcmp(request, layout.types)), layouts, ...
    'UniformOutput', false);
  has = find(~cellfun('isempty', oftype), 1);
  if isempty(has), return; end
  if any(cellfun(@(layout) any(strcmp(request, layout.channels)), layouts))
    bidsmill.internal.fail('Datastore:channels', ...
      ['''' request ''' is the name of a channel and a channel type'], ...
      'to do', 'name the channel in a list: {''name''}');
  elseif ~all(cellfun(@(names) isequal(names, oftype{has}), oftype))
    cannotstack(['their channels of type ' request ' differ'], layouts);
  end
  wanted = oftype{has};
end

function sources = sourcenames(store, manifest)
  table = bidsmill.internal.opentable(store, manifest, 'channels');
  kept = strcmpi(bidsmill.internal.columnof(table, 'kept'), 'true');
  get = @(name) subsref(bidsmill.internal.columnof(table, name), substruct('()', {kept}));
  sources = struct('recording', {get('recording')}, 'name', {get('name')}, ...
    'source', {get('source_name')});
end

function columns = resolved(wanted, layout, recording, sources, layouts)
  own = strcmp(recording, sources.recording);
  names = sources.name(own);
  source = sources.source(own);
  columns = zeros(1, numel(wanted));
  for k = 1:numel(wanted)
    name = wanted{k};
    at = find(strcmp(name, layout.channels) | strcmp(strtrim(name), layout.channels), 1);
    if isempty(at)
      found = names(strcmp(name, source));
      if isempty(found), found = names(strcmp(strtrim(name), strtrim(source))); end
      if numel(found) > 1
        bidsmill.internal.fail('Datastore:channels', ...
          ['''' name ''' is the name of several channels in the source file'], ...
          'file', recording, 'found', strjoin(found(:).', ', '), ...
          'to do', 'use the name of the column');
      elseif isempty(found)
        nochannel(name, recording, layout, layouts);
      end
      at = find(strcmp(found{1}, layout.channels), 1);
    end
    columns(k) = at;
  end
  if numel(unique(columns)) < numel(columns)
    bidsmill.internal.fail('Datastore:channels', 'two names mean the same channel', ...
      'file', recording, 'found', strjoin(layout.channels(columns), ', '));
  end
end

function nochannel(name, recording, layout, layouts)
  if numel(layouts) > 1 && any(cellfun(@(one) any(strcmp(name, one.channels)), layouts))
    cannotstack(['recording ' recording ' has no channel ''' name ''''], layouts);
  end
  bidsmill.internal.unknown('Datastore:unknownChannel', ...
    ['recording ' recording ' has no channel of this name'], name, layout.channels, '');
end

function view = checked(view, layout, columns)
  types = layout.types(columns);
  units = layout.units(columns);
  if isempty(view.types)
    view.types = types;
    view.units = units;
  end
  differs = find(~strcmp(types, view.types) | ~strcmp(units, view.units), 1);
  if ~isempty(differs)
    bidsmill.internal.fail('Datastore:channels', ...
      ['channel ''' view.names{differs} ''' is not the same in all recordings'], ...
      'found', sprintf('%s in %s, and %s in %s', view.types{differs}, view.units{differs}, ...
      types{differs}, units{differs}), 'to do', 'leave it out with a list of channels');
  end
end

function cannotstack(what, layouts)
  lines = cellfun(@(layout) sprintf('%s: %d channels, %g Hz, %d samples from %g s', layout.id, ...
    numel(layout.channels), layout.sfreq, layout.n_times, layout.tmin), layouts, ...
    'UniformOutput', false);
  bidsmill.internal.fail('Datastore:cannotStack', ...
    ['these recordings cannot be stacked: ' what], 'found', strjoin(lines, ' | '), ...
    'to do', ['take ''Channels'', ''common'' (what all share) or a list of names; or ' ...
    'choose one layout: ''Where'', {''layout'', ''' layouts{1}.id '''}']);
end
