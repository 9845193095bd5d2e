"""Make the samples of one file anew."""

from pathlib import Path
from typing import TYPE_CHECKING

from bidsmill.simulate.jobs.spikes import make_recording
from bidsmill.workflow.job_log import job_log

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

if __name__ == "__main__":
    with job_log(snakemake.log[0]):
        make_recording(
            dict(snakemake.input.items()),
            Path(snakemake.output.receipt).parents[1],
            snakemake.params.shard,
            snakemake.params.spec,
            snakemake.params.receipt,
        )
