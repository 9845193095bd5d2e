"""Copies of signals across sides: one pass over the matrices, then a look at the suspects."""

from __future__ import annotations

from collections import OrderedDict, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from bidsmill.errors import BidsmillError
from bidsmill.formats.certificate import SIDES, rows_by_value
from bidsmill.formats.matrix import MatrixFile
from bidsmill.formats.numbers import counted
from bidsmill.split.audit.candidates import MOST_PRINTS, Collector
from bidsmill.split.audit.compare import Likeness, compare_rows
from bidsmill.split.audit.finding import Finding, some
from bidsmill.split.audit.material import Material
from bidsmill.split.audit.normalisation import Moments
from bidsmill.split.audit.prints import (
    CHUNK_BYTES,
    Printer,
    cross_grid,
    own_grid,
    row_hashes,
)

# Channels of other types (triggers, references, positions) are alike in many recordings.
SIGNALS = (
    *("eeg", "mag", "grad", "ref_meg", "seeg", "ecog", "dbs", "emg", "csd", "eog", "ecg"),
    *("fnirs_cw_amplitude", "fnirs_od", "hbo", "hbr"),
)
# Rates are compared up to this ratio, each with so many lower ones.
LARGEST_RATIO, LOWER_RATES = 8.0, 2
# Pairs of recordings that are compared sample by sample, and pairs of rows of each.
MOST_PAIRS, ROWS_OF_PAIR = 400, 4
# Other rows of a recording that a suspect is measured against.
BESIDE = 6
# Bytes of row groups that are kept while suspects are compared; two groups always are.
KEPT_BYTES = 2**27
CODES = {
    "same": ("same_signal", "the same signals"),
    "shifted": ("shifted_signal", "the same signals, cut at other samples,"),
    "scaled": ("scaled_signal", "the same signals, scaled, inverted or moved,"),
    "near": ("near_identical_signal", "nearly the same signals"),
    "resampled": ("resampled_signal", "the same signals at different rates"),
}


@dataclass
class Rows:
    """The rows of one recording that stand on a side.

    Attributes
    ----------
    material : Material
        Its dataset.
    recording : str
    channels : list of str
        The channels that are compared.
    sfreq : float
    first : int
        Number of the matrix's row 0 over everything that is audited.
    side : numpy.ndarray
        Shape (rows of the matrix,), int8: place in `SIDES`; ``none`` for rows not to look at.
    start, stop : numpy.ndarray
        Shape (rows of the matrix,): samples of the recording.
    edges : numpy.ndarray
        First row of each row group, and the number of rows.
    """

    material: Material
    recording: str
    channels: list[str]
    sfreq: float
    first: int
    side: np.ndarray
    start: np.ndarray
    stop: np.ndarray
    edges: np.ndarray = field(default_factory=lambda: np.zeros(1, np.int64))

    @property
    def name(self) -> str:
        """Return dataset and recording."""
        return f"{self.material.dataset}/{self.recording}"


@dataclass
class Pair:
    """Two recordings on two sides that share prints, and the rows that do."""

    one: Rows
    other: Rows
    sides: tuple[int, int]
    rows: list[tuple[int, int]] = field(default_factory=list)
    votes: list[int] = field(default_factory=list)


def check_signals(
    materials: Sequence[Material], *, most_prints: int = MOST_PRINTS
) -> list[Finding]:
    """Find copies of signals, and scaling over all sides.

    Every matrix is read once, row group by row group; the row groups of suspects again.

    Parameters
    ----------
    materials : sequence of Material
        The datasets. Findings about one of them are added to it.
    most_prints : int
        Prints that are held in memory at most.

    Returns
    -------
    list of Finding
        Copies.
    """
    recordings = list(_rows_to_read(materials))
    if not recordings:
        return []
    collector = Collector(most_prints)
    rates = sorted({rows.sfreq for rows in recordings})
    for material in materials:
        moments = Moments()
        for rows in recordings:
            if rows.material is material:
                _print_recording(rows, rates, collector, moments)
        moments.check(material)
    pairs = _suspects(recordings, collector)
    return _compare(pairs, collector.thinning)


def _rows_to_read(materials: Sequence[Material]) -> Iterator[Rows]:
    first = 0
    for material in materials:
        samples = material.samples
        start, stop = samples["start"].to_numpy(), samples["stop"].to_numpy()
        number = samples["row"].to_numpy()
        for recording, rows in rows_by_value(material.recordings).items():
            document = material.documents.get(recording)
            if document is None:
                continue
            size = int(document["shape"][0])
            side = np.full(size, SIDES.index("none"), np.int8)
            begin, end = np.zeros(size, np.int64), np.zeros(size, np.int64)
            rows = rows[(number[rows] >= 0) & (number[rows] < size)]
            for place, name in enumerate(SIDES):
                side[number[rows[material.side[rows] == name]]] = place
            begin[number[rows]], end[number[rows]] = start[rows], stop[rows]
            channels = _channels(document)
            if channels and (side != SIDES.index("none")).any():
                sfreq = float(document["sfreq"])
                yield Rows(material, recording, channels, sfreq, first, side, begin, end)
                first += size


def _channels(document: dict) -> list[str]:
    """Return the channels that hold signals: good ones, if there are any."""
    channels = [c for c in document["channels"] if c.get("type", "eeg") in SIGNALS]
    good = [c for c in channels if c.get("status") != "bad"]
    return [channel["name"] for channel in good or channels]


def _print_recording(
    rows: Rows, rates: list[float], collector: Collector, moments: Moments
) -> None:
    """Read one matrix and take its prints and sums."""
    lower = [r for r in rates if r < rows.sfreq and rows.sfreq / r <= LARGEST_RATIO]
    grids = [own_grid(rows.sfreq)]
    grids += [cross_grid(rows.sfreq, rate) for rate in lower[-LOWER_RATES:]]
    if any(rows.sfreq < r <= LARGEST_RATIO * rows.sfreq for r in rates):
        grids.append(cross_grid(rows.sfreq, rows.sfreq))
    printers = [Printer(grid) for grid in grids]
    layout = (rows.sfreq, tuple(rows.channels))
    none = SIDES.index("none")
    try:
        with MatrixFile(rows.material.matrices[rows.recording]) as matrix:
            begin = 0
            rows.edges = np.cumsum([0, *matrix.group_rows])
            for group, size in enumerate(matrix.group_rows):
                wanted = np.flatnonzero(rows.side[begin : begin + size] != none)
                if len(wanted):
                    block = matrix.read_group(group, rows.channels)
                    for part, numbers in _chunks(block, wanted):
                        places = rows.first + begin + numbers
                        _take(part, places, printers, collector)
                        moments.add(layout, rows.recording, rows.side[begin + numbers], part)
                begin += size
    except (BidsmillError, OSError, ValueError) as error:
        what = error.what if isinstance(error, BidsmillError) else str(error)
        rows.material.found(
            "matrix_unreadable",
            "leak",
            f"The matrix of {rows.recording} cannot be audited: {what}. Convert it again.",
            places=(rows.recording,),
        )


def _chunks(block: np.ndarray, wanted: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Cut rows into pieces that fit the processor's cache."""
    size = max(1, CHUNK_BYTES // max(1, block[0].nbytes))
    for begin in range(0, len(wanted), size):
        numbers = wanted[begin : begin + size]
        if numbers[-1] - numbers[0] == len(numbers) - 1:
            yield block[numbers[0] : numbers[-1] + 1], numbers
        else:
            yield block[numbers], numbers


def _take(part, places, printers, collector) -> None:
    telling, hashes = row_hashes(part)
    collector.add(places[telling], hashes)
    for printer in printers:
        row, values = printer.prints(part)
        collector.add(places[row], values)


def _suspects(recordings: list[Rows], collector: Collector) -> list[Pair]:
    """Return the pairs of recordings with rows that share prints, the strongest first."""
    side = np.concatenate([rows.side for rows in recordings])
    start = np.concatenate([rows.start / rows.sfreq for rows in recordings])
    stop = np.concatenate([rows.stop / rows.sfreq for rows in recordings])
    owner = np.repeat(np.arange(len(recordings)), [len(rows.side) for rows in recordings])
    first, second, votes = collector.pairs(side)
    overlap = owner[first] == owner[second]
    overlap &= (start[first] < stop[second]) & (start[second] < stop[first])
    first, second, votes = first[~overlap], second[~overlap], votes[~overlap]
    pairs: dict[tuple[int, ...], Pair] = {}
    for a, b, v in zip(first.tolist(), second.tolist(), votes.tolist(), strict=True):
        one, other = recordings[owner[a]], recordings[owner[b]]
        sides = int(side[a]), int(side[b])
        key = (int(owner[a]), int(owner[b]), *sides)
        pair = pairs.setdefault(key, Pair(one, other, sides))
        pair.rows.append((a - one.first, b - other.first))
        pair.votes.append(v)
    for pair in pairs.values():
        order = sorted(range(len(pair.rows)), key=lambda i: (-pair.votes[i], pair.rows[i]))
        pair.rows = [pair.rows[i] for i in order]
        pair.votes = [pair.votes[i] for i in order]
    # Across sides first, then by the number of prints that two rows share.
    return [
        pairs[key] for key in sorted(pairs, key=lambda k: (k[2] == k[3], -pairs[k].votes[0], k))
    ]


class _Reader:
    """Rows of matrices; the last row groups are kept."""

    def __init__(self) -> None:
        self._groups: OrderedDict[tuple[str, int], np.ndarray] = OrderedDict()

    def group(self, rows: Rows, row: int) -> tuple[int, np.ndarray]:
        """Return the number of the first row of a row's group, and the group."""
        index = int(np.searchsorted(rows.edges, row, side="right")) - 1
        key = (rows.name, index)
        if key not in self._groups:
            held = [block.nbytes for block in self._groups.values()]
            while len(held) >= 2 and sum(held) > KEPT_BYTES:
                self._groups.popitem(last=False)
                held = held[1:]
            with MatrixFile(rows.material.matrices[rows.recording]) as matrix:
                self._groups[key] = matrix.read_group(index, rows.channels)
        self._groups.move_to_end(key)
        return int(rows.edges[index]), self._groups[key]


def _likeness(reader: _Reader, pair: Pair, rows: tuple[int, int]) -> Likeness | None:
    """Compare two rows, the one with fewer channels looked for in the other."""
    ends = [(pair.one, rows[0]), (pair.other, rows[1])]
    if len(pair.one.channels) > len(pair.other.channels):
        ends.reverse()
    rates = ends[0][0].sfreq, ends[1][0].sfreq
    own, beside_own = _row_and_others(reader, *ends[0])
    other, beside = _row_and_others(reader, *ends[1])
    found = compare_rows(own, other, rates, beside)
    if found is None or len(own) != len(other):
        return found
    # An artefact agrees with rows beside either of the two.
    return found if compare_rows(other, own, rates[::-1], beside_own) else None


def _row_and_others(reader: _Reader, rows: Rows, row: int) -> tuple[np.ndarray, list[np.ndarray]]:
    """Return a row, and the nearest rows of its group that lie a window's length from it.

    Nearer ones share samples with a copy that was cut at other samples.
    """
    begin, block = reader.group(rows, row)
    numbers = np.arange(begin, begin + len(block))
    start, stop = rows.start[row], rows.stop[row]
    length = stop - start
    apart = (rows.stop[numbers] <= start - length) | (rows.start[numbers] >= stop + length)
    others = sorted(numbers[apart].tolist(), key=lambda number: (abs(number - row), number))
    return block[row - begin], [block[number - begin] for number in others[:BESIDE]]


def _compare(pairs: list[Pair], thinning: int) -> list[Finding]:
    """Compare the rows of suspects and say which are copies."""
    reader, found = _Reader(), defaultdict(list)
    for pair in pairs[:MOST_PAIRS]:
        for rows in pair.rows[:ROWS_OF_PAIR]:
            likeness = _likeness(reader, pair, rows)
            if likeness is not None:
                datasets = sorted({pair.one.material.dataset, pair.other.material.dataset})
                across = pair.sides[0] != pair.sides[1]
                found[" + ".join(datasets), likeness.kind, across].append((pair, likeness))
                break
    findings = []
    for (names, kind, across), copies in sorted(found.items(), key=lambda item: item[0]):
        findings.append((_leak if across else _note)(names, kind, copies))
    everything = " + ".join(sorted({p.one.material.dataset for p in pairs}))
    if len(pairs) > MOST_PAIRS:
        findings.append(_unfinished(everything, len(pairs) - MOST_PAIRS))
    if thinning:
        findings.append(
            Finding(
                "prints_thinned",
                "note",
                f"There are so many rows that of {2**thinning} prints one was kept: copies of "
                "single rows may be missed, copies of recordings are not.",
                everything,
            )
        )
    return findings


def _texts(copies: list[tuple[Pair, Likeness]]) -> list[str]:
    return [
        f"{p.one.name} row {p.rows[0][0]} ({SIDES[p.sides[0]]}) and {p.other.name} row "
        f"{p.rows[0][1]} ({SIDES[p.sides[1]]}): {likeness.text}"
        for p, likeness in copies
    ]


def _rows_of(copies: list[tuple[Pair, Likeness]]) -> int:
    return sum(len({b for _, b in pair.rows}) for pair, _ in copies)


def _leak(datasets: str, kind: str, copies: list[tuple[Pair, Likeness]]) -> Finding:
    code, what = CODES[kind]
    number = _rows_of(copies)
    names = {frozenset((p.one.name, p.other.name)) for p, _ in copies}
    subject = "pair of recordings holds" if len(names) == 1 else "pairs of recordings hold"
    return Finding(
        code,
        "leak",
        f"{len(names)} {subject} {what} on different sides, in {counted(number, 'row')} or more: "
        "what is tested on was trained on. Keep one of the copies, or put the recordings into "
        "one group (the key same_subject of the config) and split again.",
        datasets,
        number,
        some(_texts(copies)),
    )


def _note(datasets: str, kind: str, copies: list[tuple[Pair, Likeness]]) -> Finding:
    number = _rows_of(copies)
    return Finding(
        "duplicate_rows",
        "note",
        f"{counted(number, 'row')} or more hold {CODES[kind][1]} as other rows of the same side: "
        "they weigh more than others.",
        datasets,
        number,
        some(_texts(copies)),
        {"kind": kind},
    )


def _unfinished(datasets: str, left: int) -> Finding:
    return Finding(
        "suspects_not_compared",
        "note",
        f"{counted(left, 'pair')} of recordings share prints and were not compared sample by "
        f"sample, since {MOST_PAIRS} were: there may be more copies than those named.",
        datasets,
        left,
    )
