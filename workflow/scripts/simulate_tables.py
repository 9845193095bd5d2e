"""Write the tables of a simulated dataset."""

from pathlib import Path
from typing import TYPE_CHECKING

from bidsmill.simulate.jobs.tables import make_tables
from bidsmill.workflow.job_log import job_log

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

if __name__ == "__main__":
    with job_log(snakemake.log[0]):
        make_tables(
            Path(snakemake.output.samples).parent,
            Path(snakemake.input.leadfield),
            Path(snakemake.input.overview),
            snakemake.wildcards.dataset,
            snakemake.params.spec,
        )
