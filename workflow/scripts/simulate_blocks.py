"""Plan which regions are simulated together."""

from pathlib import Path
from typing import TYPE_CHECKING

from bidsmill.simulate.jobs.blocks import plan_blocks
from bidsmill.workflow.job_log import job_log

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

if __name__ == "__main__":
    with job_log(snakemake.log[0]):
        plan_blocks(
            Path(snakemake.input.anatomy),
            Path(snakemake.output.blocks),
            snakemake.params.spec["activity"],
            snakemake.params.folder,
        )
