"""Cut the clips of a block of regions."""

from pathlib import Path
from typing import TYPE_CHECKING

from bidsmill.simulate.jobs.clips import make_clips
from bidsmill.workflow.job_log import job_log

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

if __name__ == "__main__":
    with job_log(snakemake.log[0]):
        make_clips(
            Path(snakemake.input.leadfield),
            [Path(path) for path in snakemake.input.activity],
            Path(snakemake.output.table).parent,
            Path(snakemake.input.plan),
            snakemake.params.spec,
            snakemake.params.seed["seed"],
        )
