function target = targetof(table, manifest, name)
%TARGETOF  What a model shall predict: a label, or any column of samples.
%   TARGET = bidsmill.internal.targetof(TABLE, MANIFEST, NAME) returns a struct:
%   name; classes (row cellstr in the order of their codes, or [] for numbers);
%   values (column: number of the class from 1, NaN without one; or the numbers).
%   Classes of a column that is no label are its distinct values in the whole
%   dataset, sorted, so that training and test have the same codes.
%
%   Example
%     target = bidsmill.internal.targetof(table, manifest, 'face');
  labels = bidsmill.internal.labelnames(manifest);
  if ~any(strcmp(name, table.names))
    known = [labels, setdiff(table.names, labels, 'stable')];
    bidsmill.internal.unknown('Datastore:unknownTarget', ...
      'there is no label or column of samples of this name', name, known, '');
  end
  target = struct('name', name, 'classes', [], 'values', []);
  if bidsmill.internal.isnumbercolumn(manifest, name)
    target.values = bidsmill.internal.numbersof(table, name);
    return
  end
  texts = bidsmill.internal.columnof(table, name);
  present = ~strcmp(texts, '');
  label = bidsmill.internal.labelof(manifest, name);
  if isempty(label)
    target.classes = bidsmill.internal.sorttext(reshape(unique(texts(present)), 1, []));
  else
    target.classes = label.classes;
  end
  [isclass, codes] = ismember(texts, target.classes);
  strange = find(present & ~isclass, 1);
  if ~isempty(strange)
    bidsmill.internal.unknown('Store:damagedFile', ...
      ['samples have a class of ''' name ''' that the manifest does not'], texts{strange}, ...
      target.classes, '');
  end
  target.values = double(codes(:));
  target.values(~present) = NaN;
end
