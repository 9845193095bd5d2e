"""The network of `simulate_networks` in The Virtual Brain, where somebody has it installed.

tvb-library is under the GPL and is no part of any install of bidsmill, and neither tests nor
bidsmill import it: this is a program for an environment of its own, such as ``make test-long``
sets up in ``.tvb``. ``python simulate_tvb.py`` makes the reference again,
``python simulate_tvb.py activity.npy`` writes the activity of all steps and nodes.
"""

from __future__ import annotations

import json
import sys
from importlib.metadata import version
from pathlib import Path

import numpy as np
from simulate_networks import ACTIVE, DT, N_NODES, N_STEPS, WATCHED, formula_network

REFERENCE = Path(__file__).with_name("simulate_tvb_reference.json")


def tvb_activity() -> np.ndarray:
    """Return y1 - y2 in mV after each step: (steps, nodes)."""
    from tvb.simulator.lab import connectivity, coupling, integrators, models, monitors, simulator

    weights, tracts, start, mean_input = formula_network()
    wiring = connectivity.Connectivity(
        weights=weights,
        tract_lengths=tracts,
        region_labels=np.array([f"node{i}" for i in range(N_NODES)]),
        centres=np.zeros((N_NODES, 3)),
        speed=np.array([3.0]),
    )
    wiring.configure()
    excitation = np.full(N_NODES, 3.25)
    excitation[ACTIVE] = 3.5
    numbers = {"B": 22.0, "a": 0.1, "b": 0.05, "v0": 6.0, "nu_max": 0.0025, "r": 0.56, "J": 135.0}
    numbers |= {"a_1": 1.0, "a_2": 0.8, "a_3": 0.25, "a_4": 0.25, "mu": mean_input}
    model = models.JansenRit(
        A=excitation,
        variables_of_interest=["y0", "y1", "y2"],
        **{name: np.array([value]) for name, value in numbers.items()},
    )
    past = int(np.rint(tracts / 3 / DT).max()) + 1
    run = simulator.Simulator(
        model=model,
        connectivity=wiring,
        coupling=coupling.SigmoidalJansenRit(a=np.array([1.0])),
        integrator=integrators.HeunDeterministic(dt=DT),
        monitors=[monitors.Raw()],
        simulation_length=N_STEPS * DT,
        initial_conditions=np.repeat(start[None, :, :, None], past, axis=0),
    )
    run.configure()
    ((_, y),) = run.run(simulation_length=N_STEPS * DT)
    return y[:, 1, :, 0] - y[:, 2, :, 0]


def write_reference() -> None:
    """Write some steps of some nodes, with where they come from."""
    activity = tvb_activity()
    steps = [*range(1, N_STEPS, 10), N_STEPS]
    head = {
        "provenance": f"tvb-library {version('tvb-library')}: JansenRit, SigmoidalJansenRit, "
        "HeunDeterministic, Raw; network and start of tests/unit/simulate_networks.py",
        "dt_ms": DT,
        "active_node": ACTIVE,
        "nodes": WATCHED,
        "steps": steps,
    }
    rows = [[round(float(activity[s - 1, k]), 6) for k in WATCHED] for s in steps]
    lines = [f" {json.dumps(name)}: {json.dumps(value)}," for name, value in head.items()]
    body = ",\n".join("  " + json.dumps(row) for row in rows)
    text = "\n".join(["{", *lines, ' "y1_minus_y2_mv": [', body, " ]", "}"])
    REFERENCE.write_text(text + "\n")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        np.save(sys.argv[1], tvb_activity())
    else:
        write_reference()
