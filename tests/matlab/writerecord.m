function writerecord(file, record, more)
% WRITERECORD  Write the record of a cache entry without the time of its array; its size is wrong by MORE.
fid = fopen(file, 'w');
fprintf(fid, '{"size": %d, "crc32": "%s"}', record.size + more, record.crc32);
fclose(fid);
end
