"""The files of a store, wherever they are, and the cache: downloaded, verified, decoded once."""
