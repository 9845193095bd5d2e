"""Fetch the files of one batch."""

from pathlib import Path
from typing import TYPE_CHECKING

from bidsmill.sources.fetch import fetch_batch
from bidsmill.workflow.job_log import job_log

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

if __name__ == "__main__":
    with job_log(snakemake.log[0]):
        fetch_batch(
            Path(snakemake.input.plan),
            Path(snakemake.output.manifest),
            settings=snakemake.params.spec
            | snakemake.config["connections"][snakemake.wildcards.dataset],
            results=Path(snakemake.input.plan).parents[1],
        )
