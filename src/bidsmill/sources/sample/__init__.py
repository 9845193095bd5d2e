"""The embedded sample: a whole BIDS dataset made by code, without downloads.

Simulated EEG of people who look at faces and at scrambled pictures. ``design`` says who takes
part and what happens when, ``signals`` simulates the EEG, ``sidecars`` holds the texts and
tables, ``write`` puts files in place.
"""

from bidsmill.sources.sample.design import SAMPLE_VERSION
from bidsmill.sources.sample.write import write_sample

__all__ = ["SAMPLE_VERSION", "write_sample"]
