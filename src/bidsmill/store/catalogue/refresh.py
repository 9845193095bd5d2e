"""Keep the catalogue page of a store equal to its catalogue, however many publish at once."""

from __future__ import annotations

import logging

from bidsmill.errors import BidsmillError
from bidsmill.formats.manifest import CATALOG
from bidsmill.formats.seal import INDEX, is_catalogue_page
from bidsmill.storage.contract import Storage
from bidsmill.store.catalogue.page import page_of_catalogue
from bidsmill.store.pointing import replace

log = logging.getLogger(__name__)


def write_page(storage: Storage) -> bool:
    """Write ``index.html`` from the catalogue that is in the store now.

    The catalogue is read after the page. So whoever swaps the page last has read a catalogue that
    is at least as new as that of whoever swapped before, and the last page is that of the last
    catalogue.

    Parameters
    ----------
    storage : Storage
        The store.

    Returns
    -------
    bool
        Whether the page changed.

    Raises
    ------
    BidsmillError
        If there is no catalogue, or ``index.html`` is a page of somebody else.
    """

    def made(content: bytes | None) -> bytes:
        if content and not is_catalogue_page(content):
            raise BidsmillError(
                "there is an index.html that bidsmill did not write; it stays as it is",
                file=f"{storage}/{INDEX}",
                todo="give it another name, then: bidsmill catalogue STORE",
            )
        return page_of_catalogue(storage.read(CATALOG))

    return replace(storage, INDEX, made)


def refresh_page(storage: Storage) -> None:
    """Write the page if that is possible: a publish is done when the catalogue shows it."""
    try:
        write_page(storage)
    # Whatever goes wrong with a page, of data that nobody foresaw too, the data are published.
    except Exception as error:
        log.warning("the catalogue page is not up to date: %s", error)
