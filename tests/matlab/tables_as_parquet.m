% A remote store of which only the Parquet form of samples was pulled.
addpath(fullfile(fileparts(mfilename('fullpath')), 'parquet'));
run(fullfile(fileparts(mfilename('fullpath')), 'read_cases.m'));
