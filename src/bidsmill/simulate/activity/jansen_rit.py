"""A network of neural masses of Jansen and Rit, many runs of it at a time.

The equations are those of Jansen and Rit (1995, doi:10.1007/BF00199471) for each node i, coupled
over delays as in The Virtual Brain (Sanz-Leon et al. 2015, doi:10.1016/j.neuroimage.2015.01.002;
its ``JansenRit`` with ``SigmoidalJansenRit``), with the parameters of DeepSIF
(``forward/generate_tvb_data.py``)::

    y0' = y3
    y1' = y4
    y2' = y5
    y3' = A a S(y1 - y2)                                 - 2 a y3 - a^2 y0
    y4' = A a (mu + a2 J S(a1 J y0) + c)                 - 2 a y4 - a^2 y1   (+ noise)
    y5' = B b a4 J S(a3 J y0)                            - 2 b y5 - b^2 y2
    S(v) = 2 nu_max / (1 + exp(r (v0 - v)))
    c(t) = sum over tracts of w Sc(y1 - y2 of the other node, its delay ago)
    Sc(v) = 2 nu_max / (1 + exp(r (v_c - v)))

The integrator is that of Heun; coupling and noise stay as they are over both of its stages. All
operations are done one by one in a stated order, with an exponential function of our own: the
compiled path (:mod:`bidsmill.simulate.activity.jansen_rit_numba`) and this one give equal numbers,
for any number of runs in a batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bidsmill.errors import BidsmillError
from bidsmill.simulate.activity.connectome import Connectome, Tracts
from bidsmill.simulate.activity.exponential import exponential

ENGINES = ("auto", "numpy", "numba")


@dataclass(frozen=True)
class Parameters:
    """Constants of the neural mass: potentials in mV, times in ms.

    Attributes
    ----------
    excitation, active_excitation : float
        A of a normal node, and of the one that makes the spikes.
    inhibition : float
        B.
    a, b : float
        Inverse time constants in 1/ms.
    v0, nu_max, r : float
        Sigmoid: half point (mV), half of its maximum (1/ms), steepness (1/mV).
    synapses : float
        J; the shares of it are `shares` (a1 to a4).
    coupling_midpoint : float
        Half point of the sigmoid of the coupling, in mV.
    coupling_strength : float
        Factor of all weights.
    firing_range : tuple of float
        The range of input firing rates (1/ms) from which the noise is scaled.
    """

    excitation: float = 3.25
    active_excitation: float = 3.5
    inhibition: float = 22.0
    a: float = 0.1
    b: float = 0.05
    v0: float = 6.0
    nu_max: float = 0.0025
    r: float = 0.56
    synapses: float = 135.0
    shares: tuple[float, float, float, float] = (1.0, 0.8, 0.25, 0.25)
    coupling_midpoint: float = 6.0
    coupling_strength: float = 1.0
    firing_range: tuple[float, float] = (0.03, 0.15)

    def noise_gain(self, spread: float) -> float:
        """Return sqrt(2 D): the noise of y4 per square root of a millisecond."""
        low, high = self.firing_range
        return self.a * self.excitation * (high - low) * 0.5 * spread

    def sigmoid(self, v: Any) -> Any:
        """Return S(v) in 1/ms, in the precision of NumPy."""
        return 2 * self.nu_max / (1 + np.exp(self.r * (self.v0 - v)))

    def rest(self, mean_input: float) -> np.ndarray:
        """Return the state (6 numbers) at which an uncoupled normal node stays.

        The lowest one where there are several.

        Raises
        ------
        BidsmillError
            If there is none within 50 mV of zero.
        """

        def state(v: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
            a1, a2, a3, a4 = (share * self.synapses for share in self.shares)
            y0 = self.excitation / self.a * self.sigmoid(v)
            y1 = self.excitation / self.a * (mean_input + a2 * self.sigmoid(a1 * y0))
            y2 = self.inhibition / self.b * a4 * self.sigmoid(a3 * y0)
            return y0, y1, y2

        def excess(v: np.ndarray) -> np.ndarray:
            _, y1, y2 = state(v)
            return y1 - y2 - v

        grid = np.linspace(-50.0, 50.0, 20001)
        values = excess(grid)
        falling = np.flatnonzero((values[:-1] > 0) & (values[1:] <= 0))
        if not len(falling):
            raise BidsmillError(
                "a neural mass with these constants has no rest",
                found=f"a mean input of {mean_input} 1/ms and {self}",
                expected=f"a rest between {grid[0]:g} and {grid[-1]:g} mV",
            )
        lower = int(falling[0])
        low, high = grid[lower], grid[lower + 1]
        for _ in range(60):
            middle = (low + high) / 2
            low, high = (middle, high) if excess(middle) > 0 else (low, middle)
        return np.array([*(float(y) for y in state((low + high) / 2)), 0.0, 0.0, 0.0])


@dataclass(frozen=True)
class Run:
    """What distinguishes one run of a batch.

    Attributes
    ----------
    active : int or None
        The node with the higher excitation.
    mean_input : float
        mu, in 1/ms.
    noise : float
        The factor "std" of the noise; 0 for none.
    """

    active: int | None
    mean_input: float
    noise: float


class Network:
    """A batch of runs of one network, advanced step by step.

    Parameters
    ----------
    connectome : Connectome
        The nodes.
    runs : sequence of Run
        The batch.
    dt : float
        Step in ms.
    parameters : Parameters
        Constants of the neural mass.
    dtype : type
        ``float32`` or ``float64``.
    engine : {'auto', 'numpy', 'numba'}
        ``auto`` takes numba where it is installed. The numbers are the same.
    initial : numpy.ndarray, shape (6, nodes, runs), optional
        The state at the start, and for all time before. Default: each node at its rest.

    Attributes
    ----------
    state : numpy.ndarray, shape (6, nodes, runs)
        y0 to y5 now.
    history : numpy.ndarray, shape (slots, nodes, runs)
        Sc of the last steps, in a ring; `head` is the slot of now.
    """

    def __init__(
        self,
        connectome: Connectome,
        runs: Sequence[Run],
        dt: float = 0.5,
        parameters: Parameters | None = None,
        dtype: Any = np.float32,
        engine: str = "auto",
        initial: np.ndarray | None = None,
    ):
        p = self.parameters = parameters or Parameters()
        self.dtype = np.dtype(dtype)
        if self.dtype not in (np.float32, np.float64):
            raise BidsmillError("A run is in float32 or float64", found=str(self.dtype))
        self.engine = choose_engine(engine)
        self.tracts = Tracts.of(connectome, dt, self.dtype, p.coupling_strength)
        self.n_nodes, self.n_runs, self.dt = connectome.n_nodes, len(runs), float(dt)
        excitation = np.full((self.n_nodes, self.n_runs), p.excitation)
        for column, run in enumerate(runs):
            if run.active is not None:
                excitation[run.active, column] = p.active_excitation
        self.excitation = (excitation * p.a).astype(self.dtype)
        self.mean_input = np.array([run.mean_input for run in runs], dtype=self.dtype)
        gains = [p.noise_gain(run.noise) * np.sqrt(self.dt) for run in runs]
        self.noise_gain = np.array(gains, dtype=self.dtype)
        self.constants = _constants(p, self.dt, self.dtype)
        if initial is None:
            rest = np.stack([p.rest(run.mean_input) for run in runs], axis=-1)
            initial = np.repeat(rest[:, None], self.n_nodes, axis=1)
        self.state = np.array(initial, dtype=self.dtype, order="C")
        # One slot more than the longest delay: the next step is written while this one is read.
        n_slots = int(self.tracts.delay.max(initial=0)) + 2
        now = self._coupling_sigmoid(self.state[1] - self.state[2])
        self.history = np.repeat(now[None], n_slots, axis=0)
        self.head = 0
        self._compiled = _compiled_steps() if self.engine == "numba" else None
        self._gather = None if self._compiled else _Gather(self.tracts, n_slots, self.n_nodes)

    def advance(self, noise: np.ndarray) -> np.ndarray:
        """Go on by as many steps as there is noise for.

        Parameters
        ----------
        noise : numpy.ndarray, shape (steps, nodes, runs)
            Standard normal numbers.

        Returns
        -------
        numpy.ndarray, shape (steps, nodes, runs)
            y1 - y2 in mV after each step.
        """
        noise = np.ascontiguousarray(noise, dtype=self.dtype)
        out = np.empty_like(noise)
        if self._compiled is not None:
            self.head = self._compiled(
                (self.state, self.history, self.head),
                self.tracts,
                (self.excitation, self.mean_input, self.noise_gain),
                self.constants,
                noise,
                out,
            )
            return out
        for step in range(len(noise)):
            self._step(noise[step] * self.noise_gain, out[step])
        return out

    def _step(self, noise: np.ndarray, out: np.ndarray) -> None:
        y = self.state
        dt, half = self.constants["dt"], self.constants["half_dt"]
        assert self._gather is not None
        drive = self._gather.coupling(self.history, self.head)
        drive += self.mean_input
        slope = self._slope(y, drive)
        middle = slope * dt
        middle += y
        middle[4] += noise
        slope += self._slope(middle, drive)
        slope *= half
        y += slope
        y[4] += noise
        np.subtract(y[1], y[2], out=out)
        self.head = (self.head + 1) % len(self.history)
        self.history[self.head] = self._coupling_sigmoid(out)

    def _slope(self, y: np.ndarray, drive: np.ndarray) -> np.ndarray:
        c = self.constants
        slope = np.empty_like(y)
        slope[:3] = y[3:]
        s0 = self._sigmoid(y[1] - y[2])
        s1 = self._sigmoid(y[0] * c["a1"])
        s2 = self._sigmoid(y[0] * c["a3"])
        s1 *= c["a2"]
        s1 += drive
        s0 *= self.excitation
        s1 *= self.excitation
        s2 *= c["inhibition"]
        for row, (pulse, rate) in enumerate(((s0, "a"), (s1, "a"), (s2, "b"))):
            pulse -= y[row + 3] * c[f"twice_{rate}"]
            np.subtract(pulse, y[row] * c[f"squared_{rate}"], out=slope[row + 3])
        return slope

    def _sigmoid(self, v: np.ndarray) -> np.ndarray:
        return self._logistic(v, self.constants["v0"])

    def _coupling_sigmoid(self, v: np.ndarray) -> np.ndarray:
        return self._logistic(v, self.constants["coupling_midpoint"])

    def _logistic(self, v: np.ndarray, midpoint: Any) -> np.ndarray:
        c = self.constants
        result = midpoint - v
        result *= c["r"]
        result = exponential(result)
        result += c["one"]
        return np.divide(c["maximum"], result, out=result)


class _Gather:
    """The sum over tracts, as a product of a sparse matrix with the ring of past values."""

    def __init__(self, tracts: Tracts, n_slots: int, n_nodes: int):
        from scipy.sparse import csr_array

        self.n_slots, self.n_nodes = n_slots, n_nodes
        self.places = (tracts.source - tracts.delay * n_nodes).astype(np.int32)
        # Rows keep their order of tracts: the indices are replaced at each step, in place.
        parts = (tracts.weight, np.zeros(len(tracts.source), dtype=np.int32), tracts.first)
        self.matrix = csr_array(parts, shape=(n_nodes, n_slots * n_nodes))

    def coupling(self, history: np.ndarray, head: int) -> np.ndarray:
        size = self.n_slots * self.n_nodes
        np.remainder(self.places + head * self.n_nodes, size, out=self.matrix.indices)
        return self.matrix @ history.reshape(size, -1)


def choose_engine(engine: str) -> str:
    """Return ``numpy`` or ``numba``.

    Raises
    ------
    BidsmillError
        For another name, or for ``numba`` where it cannot be used.
    """
    if engine not in ENGINES:
        raise BidsmillError(
            "There is no such engine of the simulation",
            found=engine,
            expected=", ".join(ENGINES),
        )
    if engine == "numpy":
        return engine
    try:
        _compiled_steps()
    # A RuntimeError: numba found no folder where it may keep what it compiled.
    except (ImportError, RuntimeError) as problem:
        if engine == "numba":
            raise BidsmillError(
                "The simulation is to run compiled, but numba cannot be used",
                found=str(problem),
                todo="pip install 'bidsmill[simulate]', or set the engine to auto: the numbers"
                " are the same",
            ) from None
        return "numpy"
    return "numba"


def _compiled_steps() -> Any:
    from bidsmill.simulate.activity.jansen_rit_numba import advance

    return advance


def _constants(p: Parameters, dt: float, dtype: np.dtype) -> dict[str, Any]:
    a1, a2, a3, a4 = p.shares
    numbers = {
        "dt": dt,
        "half_dt": dt / 2,
        "v0": p.v0,
        "coupling_midpoint": p.coupling_midpoint,
        "r": p.r,
        "one": 1.0,
        "maximum": 2 * p.nu_max,
        "a1": a1 * p.synapses,
        "a2": a2 * p.synapses,
        "a3": a3 * p.synapses,
        "inhibition": p.inhibition * p.b * a4 * p.synapses,
        "twice_a": 2 * p.a,
        "twice_b": 2 * p.b,
        "squared_a": p.a * p.a,
        "squared_b": p.b * p.b,
    }
    return {name: dtype.type(value) for name, value in numbers.items()}
