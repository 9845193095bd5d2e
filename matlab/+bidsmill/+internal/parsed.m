function options = parsed(name, pairs)
%PARSED  The options of Datastore and pull, as a struct.
%   OPTIONS = bidsmill.internal.parsed(NAME, PAIRS): NAME is the function's,
%   for its errors; PAIRS are name-value pairs.
%
%   Example
%     options = bidsmill.internal.parsed('Datastore', {'Split', 'train'});
  parser = inputParser();
  parser.FunctionName = ['bidsmill.' name];
  parser.addParameter('Split', []);
  parser.addParameter('Target', []);
  parser.addParameter('Where', []);
  parser.addParameter('Channels', []);
  parser.addParameter('Cache', '');
  parser.addParameter('Version', '');
  parser.addParameter('Excluded', false);
  parser.addParameter('TargetAs', '');
  parser.addParameter('Python', []);
  parser.parse(pairs{:});
  options = parser.Results;
  if isempty(options.TargetAs)
    options.TargetAs = 'text';
    if exist('categorical', 'class') == 8, options.TargetAs = 'categorical'; end
  end
  options.TargetAs = bidsmill.internal.chars(options.TargetAs);
  forms = {'categorical', 'text', 'index'};
  if ~ischar(options.TargetAs) || ~any(strcmp(options.TargetAs, forms))
    bidsmill.internal.fail('Datastore:option', 'this form of targets is unknown', ...
      'found', bidsmill.internal.shown(options.TargetAs), 'expected', strjoin(forms, ', '));
  end
end
