function fail(code, what, varargin)
%FAIL  Stop with an error that says what is wrong and what to do.
%   bidsmill.internal.fail(CODE, WHAT, 'file', F, 'found', X, 'expected', E,
%   'to do', T) raises the error bidsmill:CODE. All parts are text, those
%   after WHAT may be left out; the message has the form of Python's.
%
%   Example
%     bidsmill.internal.fail('Store:missing', 'there is no store', 'found', 'x')
  parts = {what};
  for k = 1:2:numel(varargin)
    if ~isempty(varargin{k + 1})
      parts{end + 1} = [varargin{k} ': ' varargin{k + 1}]; %#ok<AGROW>
    end
  end
  error(['bidsmill:' code], '%s', strjoin(parts, '; '));
end
