"""The commands that read a store, one per module."""
