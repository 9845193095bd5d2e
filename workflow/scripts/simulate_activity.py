"""Simulate the activity of a block of regions."""

from pathlib import Path
from typing import TYPE_CHECKING

from bidsmill.simulate.jobs.activity import make_activity
from bidsmill.workflow.job_log import job_log

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

if __name__ == "__main__":
    with job_log(snakemake.log[0]):
        make_activity(
            Path(snakemake.input.anatomy),
            Path(snakemake.output.activity),
            Path(snakemake.output.facts),
            Path(snakemake.input.plan),
            snakemake.params.spec,
            snakemake.params.seed["seed"],
        )
