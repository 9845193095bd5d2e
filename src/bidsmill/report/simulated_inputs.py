"""What the page of a simulated dataset reads: its tables and documents, not its signals."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bidsmill.errors import BidsmillError
from bidsmill.formats import certificate, files, receipts, tables
from bidsmill.formats.anatomy import Anatomy, load_anatomy
from bidsmill.formats.certificate import text_column

if TYPE_CHECKING:
    import pandas as pd

NEEDED = ("recording", "row", "onset", "subject", "centres", "regions", "snr", "snr_realised")
USED = (
    *NEEDED,
    *("session", "datatype", "excluded", "sample", "spike", "n_sources", "clips", "extents"),
    *("extent", "overlap", "spike_time", "spike_times"),
)
BY_TYPE = "snr_realised_"


@dataclass(frozen=True)
class Layout:
    """Matrices that can be stacked.

    Attributes
    ----------
    id : str
        Of the layout.
    rows, channels, times : int
        Rows of all these matrices; size of each row.
    sfreq : float
        In Hz.
    types : list of (str, int)
        Types of channels and how many there are, the most numerous first.
    """

    id: str
    rows: int
    channels: int
    times: int
    sfreq: float
    types: list[tuple[str, int]]


@dataclass(frozen=True)
class SimulatedInputs:
    """A simulated dataset as its page sees it.

    Attributes
    ----------
    results : pathlib.Path
        ``results/{dataset}``.
    about, split : dict
        ``dataset.json`` and ``split.json``.
    groups : pandas.DataFrame
        ``split.tsv``.
    samples : pandas.DataFrame
        The rows that are not excluded, with ``split``.
    excluded : int
        How many rows are.
    failed : pandas.DataFrame
        ``failed.tsv``, all text.
    layouts : list of Layout
        Those with most rows first.
    anatomy : Anatomy or None
        None where the results have none.
    built : dict
        ``anatomy/anatomy.json``: what is known of anatomy and lead field.
    clips : pandas.DataFrame or None
        One row per region for which clips were looked for, all text; None if that is not known.
    n_regions : int
        Of the cortex.
    """

    results: Path
    about: dict[str, Any]
    split: dict[str, Any]
    groups: pd.DataFrame
    samples: pd.DataFrame
    excluded: int
    failed: pd.DataFrame
    layouts: list[Layout]
    anatomy: Anatomy | None
    built: dict[str, Any]
    clips: pd.DataFrame | None
    n_regions: int

    @cached_property
    def spikes(self) -> pd.DataFrame:
        """The rows that have a source."""
        return self.samples[text_column(self.samples, "centres") != ""]

    @property
    def in_real_background(self) -> bool:
        """Whether the spikes stand in recordings of people."""
        return "spike" in self.samples


def read_simulated(results: Path) -> SimulatedInputs:
    """Read everything but matrices and sources.

    Parameters
    ----------
    results : pathlib.Path
        ``results/{dataset}`` of a simulated dataset.

    Raises
    ------
    BidsmillError
        If a file is missing, cannot be read, or does not belong to the others.
    """
    results = Path(results)
    about = files.read_json(results / "dataset.json")
    samples = _samples(results / "samples.parquet")
    groups, proof = certificate.read_split(results / "split.tsv", results / "split.json")
    samples = samples.assign(split=certificate.side_of_rows(samples, groups))
    kept = text_column(samples, "excluded") == ""
    place = results / "anatomy" / "anatomy.npz"
    anatomy = load_anatomy(place) if place.is_file() else None
    described = results / "anatomy" / "anatomy.json"
    inputs = SimulatedInputs(
        results=results,
        about=about,
        split=proof,
        groups=groups,
        samples=samples[kept].reset_index(drop=True),
        excluded=int((~kept).sum()),
        failed=tables.read_tsv(results / "failed.tsv"),
        layouts=_layouts(results, samples),
        anatomy=anatomy,
        built=files.read_json(described) if described.is_file() else {},
        clips=_clips(results),
        n_regions=_n_regions(anatomy, about),
    )
    _check_regions(inputs)
    return inputs


def _samples(path: Path) -> pd.DataFrame:
    """Return the columns that the page uses: those of a large dataset would fill the memory."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        names = pq.read_schema(path).names
    except FileNotFoundError:
        raise BidsmillError("a table is missing", file=path) from None
    except (pa.ArrowInvalid, OSError) as error:
        raise BidsmillError("a table cannot be read as Parquet", file=path, found=error) from None
    lacking = [name for name in NEEDED if name not in names]
    if lacking:
        raise BidsmillError(
            "this is no table of samples of a simulated dataset",
            file=path,
            found=f"no column {', '.join(lacking)}",
            expected=", ".join(NEEDED),
        )
    return tables.read_parquet(
        path, [name for name in names if name in USED or name.startswith(BY_TYPE)]
    )


def _layouts(results: Path, samples: pd.DataFrame) -> list[Layout]:
    """Return the layouts of the matrices, as their receipts state them."""
    counts = samples["recording"].value_counts()
    found: dict[str, Layout] = {}
    for name in sorted(counts.index):
        path = files.inside(results / "matrix", f"{name}.json")
        receipt = receipts.read_receipt(path)
        if receipt is None:
            raise BidsmillError("the receipt of a matrix is missing", file=path)
        known = found.get(receipt["layout"])
        if known is not None:
            found[known.id] = replace(known, rows=known.rows + int(counts[name]))
            continue
        _, channels, times = receipt["shape"]
        kept = [c for c in receipt["detail"]["channels"] if c.get("kept", True)]
        types = Counter(str(channel["type"]) for channel in kept).most_common()
        one = Layout(receipt["layout"], int(counts[name]), channels, times, receipt["sfreq"], types)
        found[one.id] = one
    return sorted(found.values(), key=lambda one: (-one.rows, one.id))


def _clips(results: Path) -> pd.DataFrame | None:
    import pandas as pd

    found = [tables.read_tsv(path) for path in sorted(results.glob("clips/*/regions.tsv"))]
    found += [tables.read_tsv(path) for path in sorted(results.glob("clips/regions.tsv"))]
    if not found:
        return None
    every = pd.concat(found, ignore_index=True).fillna("")
    return every.sort_values("region", key=lambda c: c.astype(int), ignore_index=True)


def _n_regions(anatomy: Anatomy | None, about: dict[str, Any]) -> int:
    if anatomy is not None:
        return anatomy.n_regions
    return len(about.get("labels", {}).get("centre", {}).get("classes", []))


def _check_regions(inputs: SimulatedInputs) -> None:
    _, regions = listed(inputs.samples, "regions")
    if len(regions) and not 0 <= regions.min() <= regions.max() < inputs.n_regions:
        raise BidsmillError(
            "samples and anatomy do not belong together",
            file=inputs.results / "samples.parquet",
            found=f"region {regions.max()} among the sources",
            expected=f"regions 0 to {inputs.n_regions - 1} of the anatomy",
            todo="make the dataset again",
        )


def listed(samples: pd.DataFrame, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Return a column of lists of whole numbers, which are texts with spaces, as two arrays.

    Parameters
    ----------
    samples : pandas.DataFrame
        The table.
    name : str
        The column.

    Returns
    -------
    rows : numpy.ndarray of int64
        Place in `samples` of every number.
    numbers : numpy.ndarray of int64
        The numbers, row after row.
    """
    texts = text_column(samples, name)
    counts = [text.count(" ") + 1 if text else 0 for text in texts]
    whole = " ".join(text for text in texts if text)
    found = np.fromstring(whole, np.int64, sep=" ") if whole else np.empty(0, np.int64)
    return np.repeat(np.arange(len(texts)), counts), found


def levels(values: np.ndarray, most: int = 12) -> list[tuple[str, np.ndarray]]:
    """Return the distinct numbers of a column, or ranges of them where they are many.

    Parameters
    ----------
    values : numpy.ndarray of float
        NaN belongs to none.
    most : int
        More distinct numbers become ten ranges with about as many rows each.

    Returns
    -------
    list of (str, numpy.ndarray of bool)
        Rising: the number as text, and which rows have it.
    """
    known = np.isfinite(values)
    distinct = np.unique(values[known])
    if len(distinct) <= most:
        return [(f"{value:g}", known & (values == value)) for value in distinct]
    edges = np.unique(np.quantile(values[known], np.linspace(0, 1, 11)))
    bin_of = np.clip(np.searchsorted(edges, values, side="right") - 1, 0, len(edges) - 2)
    return [
        (f"{edges[i]:.3g} to {edges[i + 1]:.3g}", known & (bin_of == i))
        for i in range(len(edges) - 1)
    ]
