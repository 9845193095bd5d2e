function tf = isnumbercolumn(manifest, name)
%ISNUMBERCOLUMN  Whether a column of samples holds numbers (data contract).
%   TF = bidsmill.internal.isnumbercolumn(MANIFEST, NAME)
%
%   Example
%     bidsmill.internal.isnumbercolumn(manifest, 'onset')
  label = bidsmill.internal.labelof(manifest, name);
  if isempty(label)
    tf = any(strcmp(name, {'row', 'onset', 'start', 'stop', 'event'})) ...
      || strncmp(name, 'quality_', 8);
  else
    tf = strcmp(label.kind, 'number');
  end
end
