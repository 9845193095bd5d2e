"""Where the bytes of a store are: a folder or a bucket, read and written by path."""
