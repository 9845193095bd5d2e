function layout = layoutof(manifest, id)
%LAYOUTOF  One layout of a dataset: id, channels, types, units, sfreq, tmin, n_times.
%   LAYOUT = bidsmill.internal.layoutof(MANIFEST, ID)
%
%   Example
%     layout = bidsmill.internal.layoutof(manifest, id);
  fields = fieldnames(manifest.layouts);
  for k = 1:numel(fields)
    if strcmp(bidsmill.internal.keyname(fields{k}, manifest.keys), id)
      layout = manifest.layouts.(fields{k});
      layout.id = id;
      layout.channels = bidsmill.internal.aslist(layout.channels);
      layout.types = bidsmill.internal.aslist(layout.types);
      layout.units = bidsmill.internal.aslist(layout.units);
      return
    end
  end
  bidsmill.internal.fail('Store:damagedFile', 'a manifest lacks a layout', 'found', id);
end
