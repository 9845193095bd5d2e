function tf = hasparquet()
%HASPARQUET  Whether parquetread is there (MATLAB R2023a reads what bidsmill writes).
%   TF = bidsmill.internal.hasparquet()
%
%   Example
%     bidsmill.internal.hasparquet()
  tf = exist('parquetread') ~= 0; %#ok<EXIST>
end
