"""How to load a dataset, as lines to copy: Python, MATLAB and DuckDB."""

from __future__ import annotations

from bidsmill.report.inputs import Inputs
from bidsmill.report.prose import largest_layout, selection


def loading_section(dataset: str, inputs: Inputs) -> dict[str, str]:
    """Return the lines that load the training rows of a dataset; ``STORE`` stands for the store.

    Parameters
    ----------
    dataset : str
        Dataset id.
    inputs : Inputs
        Its tables.

    Returns
    -------
    dict
        ``python``, ``matlab``, ``shell`` and ``duckdb``; empty where no row is to be had.
    """
    if not len(inputs.samples):
        return {}
    done = inputs.split["status"] == "done"
    label = next((name for name in inputs.labels if name in inputs.samples), "")
    layout = largest_layout(inputs.recordings)
    select = selection("done" if done else "refused", inputs.recordings)
    arrays = f'X, y = train.arrays(target="{label}")' if label else "X = train.arrays()"
    options = ["'Split', 'train'"] if done else []
    options += [f"'Where', {{'layout', '{layout}'}}"] if layout else []
    options += [f"'Target', '{label}'"] if label else []
    matlab = ", ...\n    ".join([f"train = bidsmill.Datastore('STORE', '{dataset}'", *options])
    sql = f"bidsmill sql STORE {dataset}" + (" --split train" if done else "")
    sql += f" --layout {layout}" if layout else ""
    return {
        "python": "\n".join(
            [
                "import bidsmill",
                "",
                f'train = bidsmill.open("STORE")["{dataset}"].{select}',
                arrays,
            ]
        ),
        "matlab": f"addpath('matlab');\n{matlab});\ndata = read(train);",
        "shell": f"{sql} > train.sql",
        "duckdb": 'import duckdb\n\nrows = duckdb.sql(open("train.sql").read()).df()',
    }
