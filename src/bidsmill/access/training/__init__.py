"""Rows for training: a map-style dataset, loaders, and streams that need no cache."""
