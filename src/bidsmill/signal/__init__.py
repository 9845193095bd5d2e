"""Filters and resamplers: pulled in blocks, exact at block borders."""
