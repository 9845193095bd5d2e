function names = labelnames(manifest)
%LABELNAMES  The names of the labels of a dataset, in their order.
%   NAMES = bidsmill.internal.labelnames(MANIFEST)
%
%   Example
%     names = bidsmill.internal.labelnames(manifest);
  names = cellfun(@(field) bidsmill.internal.keyname(field, manifest.keys), ...
    fieldnames(manifest.labels).', 'UniformOutput', false);
end
