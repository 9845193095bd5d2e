% The same cases through memmapfile.
here = fileparts(mfilename('fullpath'));
addpath(fullfile(here, 'maps'));
run(fullfile(here, 'read_cases.m'));
