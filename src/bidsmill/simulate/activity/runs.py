"""Activity of all regions while one of them makes spikes, for each region and condition.

A run is one region that makes spikes under one condition. Runs are computed in batches, which
leave no trace in the numbers: the noise of a run is drawn from streams of its own, one for each
block of steps (:func:`bidsmill.simulate.random_numbers.generator`).
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from bidsmill.errors import BidsmillError
from bidsmill.formats import files
from bidsmill.simulate.activity.connectome import Connectome
from bidsmill.simulate.activity.decimation import Decimator, whole_factor
from bidsmill.simulate.activity.jansen_rit import Network, Parameters, Run
from bidsmill.simulate.random_numbers import generator

NOISE_BLOCK = 100
"""Steps whose noise comes from one stream. Another number would give other noise."""
LARGEST = 1e4
"""In mV; the largest potentials of a neural mass are some 10 mV."""
BATCH = 64
"""Runs computed at a time; about 2 MB of memory each with 998 nodes."""


@dataclass(frozen=True)
class Condition:
    """Input of the neural masses: mean (1/ms), and factor of the noise."""

    mean_input: float
    noise: float


CONDITIONS = (Condition(0.087, 1.0), Condition(0.08, 1.7), Condition(0.083, 1.5))
"""The three conditions of DeepSIF (``forward/generate_tvb_data.py``)."""


@dataclass(frozen=True)
class ActivitySettings:
    """How long and how finely is simulated.

    Attributes
    ----------
    seconds : float
        What is kept of each run.
    discard : float
        Seconds before it that are not kept: the way from rest to the usual course.
    dt : float
        Step in ms.
    sfreq : float
        Rate of what is kept, in Hz.
    conditions : tuple of Condition
        Their numbers are the condition numbers of the runs.
    parameters : Parameters
        Constants of the neural mass.
    dtype : {'float32', 'float64'}
        Precision of the computation; files are float32.
    """

    seconds: float = 20.0
    discard: float = 1.0
    dt: float = 0.5
    sfreq: float = 500.0
    conditions: tuple[Condition, ...] = CONDITIONS
    parameters: Parameters = field(default_factory=Parameters)
    dtype: str = "float32"

    @property
    def n_times(self) -> int:
        """Samples that are kept of each run."""
        return round(self.seconds * self.sfreq)


@dataclass(frozen=True)
class Activity:
    """One run as it is on disk.

    Attributes
    ----------
    data : numpy.ndarray, shape (times, regions), float32
        y1 - y2 of each region in mV; a memory map.
    sfreq : float
        In Hz.
    region, condition : int
        The region that makes the spikes, and the number of its condition.
    facts : dict
        All that was recorded: parameters, seed, connectome, filter.
    path : pathlib.Path
        The file.
    """

    data: np.ndarray
    sfreq: float
    region: int
    condition: int
    facts: dict[str, Any]
    path: Path


def activity_path(folder: str | os.PathLike, region: int, condition: int) -> Path:
    """Return the file of one run; its facts are beside it, with the suffix ``.json``."""
    return Path(folder) / f"region-{region:04d}_condition-{condition}.npy"


def load_activity(path: str | os.PathLike) -> Activity:
    """Open one run.

    Raises
    ------
    BidsmillError
        If the file or its facts are missing or not whole.
    """
    path = Path(path)
    facts = files.read_json(path.with_suffix(".json"))
    try:
        data = np.load(path, mmap_mode="r", allow_pickle=False)
        expected = facts["n_times"], facts["n_regions"]
        sfreq, region, condition = facts["sfreq_hz"], facts["region"], facts["condition"]
    except (OSError, ValueError, EOFError, KeyError) as problem:
        raise BidsmillError(
            "The simulated activity cannot be read",
            file=path,
            found=f"{type(problem).__name__}: {problem}",
            todo="delete the file and simulate it again",
        ) from None
    if data.shape != expected:
        raise BidsmillError(
            "The simulated activity does not fit its facts",
            file=path,
            found=f"shape {data.shape}",
            expected=str(expected),
        )
    return Activity(data, sfreq, region, condition, facts, path)


def simulate_activity(
    connectome: Connectome,
    runs: Sequence[tuple[int, int]],
    folder: str | os.PathLike,
    settings: ActivitySettings | None = None,
    *,
    seed: int = 0,
    batch: int = BATCH,
    engine: str = "auto",
    progress: Callable[[int, int], None] | None = None,
) -> list[Path]:
    """Simulate runs and write each to a file.

    Parameters
    ----------
    connectome : Connectome
        The nodes and which of them are regions.
    runs : sequence of (region, condition)
        What to simulate.
    folder : path-like
        Where the files go; see :func:`activity_path`.
    settings : ActivitySettings, optional
        Length, rate and constants.
    seed : int
        Seed of the simulation.
    batch : int
        Runs at a time: more are faster and take more memory. The files stay the same.
    engine : {'auto', 'numpy', 'numba'}
        See :class:`bidsmill.simulate.activity.jansen_rit.Network`. The files stay the same.
    progress : callable, optional
        Called with the steps done and the steps of all runs.

    Returns
    -------
    list of pathlib.Path
        The files, in the order of `runs`.

    Raises
    ------
    BidsmillError
        For a region or condition that is not there, or settings that cannot be used.
    """
    settings = settings or ActivitySettings()
    _check(connectome, runs, settings, batch)
    total = len(runs) * _n_steps(settings)
    for start in range(0, len(runs), batch):
        part = runs[start : start + batch]
        with ExitStack() as stack:
            sinks = [
                stack.enter_context(_sink(activity_path(folder, *run), connectome, settings))
                for run in part
            ]
            done = start * _n_steps(settings)
            for steps, block in _blocks(connectome, part, settings, seed, engine):
                _check_finite(block, part, settings)
                for column, sink in enumerate(sinks):
                    sink.write(np.ascontiguousarray(block[:, :, column], "<f4").tobytes())
                done += steps * len(part)
                if progress:
                    progress(done, total)
        for run in part:
            path = activity_path(folder, *run).with_suffix(".json")
            files.write_json(path, _facts(connectome, *run, settings, seed))
    return [activity_path(folder, *run) for run in runs]


def _blocks(
    connectome: Connectome,
    runs: Sequence[tuple[int, int]],
    settings: ActivitySettings,
    seed: int,
    engine: str,
) -> Iterator[tuple[int, np.ndarray]]:
    """Yield the steps done and what they completed: (times, regions, runs), at the final rate."""
    nodes = connectome.node_of_region
    conditions = [settings.conditions[condition] for _, condition in runs]
    network = Network(
        connectome,
        [
            Run(int(nodes[region]), condition.mean_input, condition.noise)
            for (region, _), condition in zip(runs, conditions, strict=True)
        ],
        settings.dt,
        settings.parameters,
        np.dtype(settings.dtype),
        engine,
    )
    decimator = _decimator(settings)
    # The first output stands `half` inputs after the first input that the decimator gets.
    unused = _n_discarded(settings) - decimator.half
    everything = np.array_equal(nodes, np.arange(connectome.n_nodes))
    n_steps = _n_steps(settings)
    noise = np.empty((NOISE_BLOCK, connectome.n_nodes, len(runs)), dtype=np.float32)
    for block in range(-(-n_steps // NOISE_BLOCK)):
        steps = min(NOISE_BLOCK, n_steps - block * NOISE_BLOCK)
        for column, (region, condition) in enumerate(runs):
            random = generator(seed, "noise", region, condition, block)
            noise[:, :, column] = random.standard_normal(noise.shape[:2], dtype=np.float32)
        raw = network.advance(noise[:steps])[max(unused, 0) :]
        unused -= min(max(unused, 0), steps)
        if len(raw):
            yield steps, decimator.push(raw if everything else np.take(raw, nodes, axis=1))
        else:
            yield steps, np.empty((0, len(nodes), len(runs)), dtype=np.float32)


def _check_finite(
    block: np.ndarray, runs: Sequence[tuple[int, int]], settings: ActivitySettings
) -> None:
    """Refuse a network that ran away: to detection it would be one without spikes."""
    usual = (np.abs(block) < LARGEST).all(axis=(0, 1))
    if usual.all():
        return
    region, condition = runs[int(np.argmin(usual))]
    raise BidsmillError(
        "The simulated activity grows without bounds",
        found=f"more than {LARGEST:g} mV, or no number, in the run of region {region},"
        f" condition {condition}",
        expected="some 10 mV",
        todo=f"take a smaller step than {settings.dt:g} ms, weaker noise or other constants",
    )


def _decimator(settings: ActivitySettings) -> Decimator:
    return Decimator(whole_factor(1000 / settings.dt, settings.sfreq))


def _n_discarded(settings: ActivitySettings) -> int:
    return round(settings.discard * 1000 / settings.dt)


def _n_steps(settings: ActivitySettings) -> int:
    decimator = _decimator(settings)
    last = _n_discarded(settings) + (settings.n_times - 1) * decimator.factor
    return last + decimator.half + 1


@contextmanager
def _sink(path: Path, connectome: Connectome, settings: ActivitySettings) -> Iterator[BinaryIO]:
    """Open a file for an array whose rows come one after the other; whole or absent."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.parent / f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}.part"
    shape = (settings.n_times, connectome.n_regions)
    header = {"descr": "<f4", "fortran_order": False, "shape": shape}
    try:
        with open(temporary, "wb") as sink:
            np.lib.format.write_array_header_1_0(sink, header)
            yield sink
            sink.flush()
            os.fsync(sink.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def _facts(
    connectome: Connectome, region: int, condition: int, settings: ActivitySettings, seed: int
) -> dict[str, Any]:
    chosen = settings.conditions[condition]
    parameters = settings.parameters
    return {
        "region": int(region),
        "condition": int(condition),
        "mean_input_per_ms": chosen.mean_input,
        "noise_factor": chosen.noise,
        "seed": int(seed),
        "unit": "mV",
        "sfreq_hz": float(settings.sfreq),
        "n_times": settings.n_times,
        "n_regions": connectome.n_regions,
        "active_node": int(connectome.node_of_region[region]),
        "n_nodes": connectome.n_nodes,
        "connectome": connectome.origin,
        "speed_mm_per_ms": connectome.speed,
        "step_ms": settings.dt,
        "discarded_seconds": settings.discard,
        "precision": settings.dtype,
        "noise_block": NOISE_BLOCK,
        "neural_mass": {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in vars(parameters).items()
        },
        "processing": [_decimator(settings).describe(1000 / settings.dt)],
    }


def _check(
    connectome: Connectome,
    runs: Sequence[tuple[int, int]],
    settings: ActivitySettings,
    batch: int,
) -> None:
    for region, condition in runs:
        if not 0 <= region < connectome.n_regions:
            raise BidsmillError(
                "There is no such region to simulate",
                found=str(region),
                expected=f"0 to {connectome.n_regions - 1}",
            )
        if not 0 <= condition < len(settings.conditions):
            raise BidsmillError(
                "There is no such condition to simulate",
                found=str(condition),
                expected=f"0 to {len(settings.conditions) - 1}",
            )
    if batch < 1:
        raise BidsmillError("A batch has at least one run", found=str(batch))
    numbers = (settings.dt, settings.seconds, settings.sfreq)
    good = all(0 < number < np.inf for number in numbers) and 0 <= settings.discard < np.inf
    if not good or settings.n_times < 1 or settings.dtype not in ("float32", "float64"):
        raise BidsmillError(
            "The simulation cannot be done with these settings",
            found=f"step {settings.dt} ms, {settings.seconds} s at {settings.sfreq} Hz after"
            f" {settings.discard} s, precision {settings.dtype}",
            expected="a step, a length and a rate above 0, float32 or float64",
        )
    decimator = _decimator(settings)
    if _n_discarded(settings) < decimator.half:
        raise BidsmillError(
            "Too little of the start is discarded",
            found=f"{settings.discard} s",
            expected=f"at least {decimator.half * settings.dt / 1000:g} s; 1 s is usual",
        )
