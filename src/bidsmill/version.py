"""The version of bidsmill."""

__version__ = "0.1.0"
