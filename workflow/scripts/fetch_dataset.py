"""Fetch the files that belong to a dataset as a whole."""

from pathlib import Path
from typing import TYPE_CHECKING

from bidsmill.sources.fetch import fetch_dataset
from bidsmill.workflow.job_log import job_log

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

if __name__ == "__main__":
    with job_log(snakemake.log[0]):
        fetch_dataset(
            Path(snakemake.input.dataset),
            Path(snakemake.output.manifest),
            settings=snakemake.params.spec
            | snakemake.config["connections"][snakemake.wildcards.dataset],
            results=Path(snakemake.input.dataset).parents[1],
        )
