function values = categorical(texts, order)
% CATEGORICAL  Stands in for MATLAB's class of this name in GNU Octave.
values = struct('text', texts(:), 'order', {order});
end
