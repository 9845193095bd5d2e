"""The operations that are part of bidsmill; importing this package makes all of them known."""

from bidsmill.streams.operations import envelope as envelope
from bidsmill.streams.operations import extraction as extraction
from bidsmill.streams.operations import features as features
from bidsmill.streams.operations import filters as filters
from bidsmill.streams.operations import normalise as normalise
from bidsmill.streams.operations import onsets as onsets
from bidsmill.streams.operations import rectify as rectify
from bidsmill.streams.operations import reference as reference
from bidsmill.streams.operations import resample as resample
from bidsmill.streams.operations import spectrum as spectrum
from bidsmill.streams.operations import statistics as statistics
from bidsmill.streams.operations import whiten as whiten
