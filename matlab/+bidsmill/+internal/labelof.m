function label = labelof(manifest, name)
%LABELOF  What the manifest says of a label: kind, and classes as a row cellstr.
%   LABEL = bidsmill.internal.labelof(MANIFEST, NAME) is [] if there is none.
%
%   Example
%     label = bidsmill.internal.labelof(manifest, 'face');
  label = [];
  fields = fieldnames(manifest.labels);
  for k = 1:numel(fields)
    if strcmp(bidsmill.internal.keyname(fields{k}, manifest.keys), name)
      label = manifest.labels.(fields{k});
      if isfield(label, 'classes')
        label.classes = bidsmill.internal.aslist(label.classes);
      end
      return
    end
  end
end
