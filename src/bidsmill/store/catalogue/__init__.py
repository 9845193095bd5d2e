"""The catalogue page of a store: one file to search and filter all its datasets."""
