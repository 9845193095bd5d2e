"""Draw the sources of all samples."""

from pathlib import Path
from typing import TYPE_CHECKING

from bidsmill.simulate.jobs.sources import make_sources
from bidsmill.workflow.job_log import job_log

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

if __name__ == "__main__":
    with job_log(snakemake.log[0]):
        make_sources(
            dict(snakemake.input.items()),
            Path(snakemake.output.table),
            Path(snakemake.output.overview),
            snakemake.params.spec,
        )
