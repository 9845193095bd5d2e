"""Add spikes to the rows of a converted dataset."""

from pathlib import Path
from typing import TYPE_CHECKING

from bidsmill.simulate.jobs.background import make_background
from bidsmill.workflow.job_log import job_log

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

if __name__ == "__main__":
    with job_log(snakemake.log[0]):
        make_background(
            dict(snakemake.input.items()),
            Path(snakemake.output.samples).parent,
            snakemake.wildcards.dataset,
            snakemake.params.spec,
        )
