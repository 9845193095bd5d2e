"""Lock one dataset and plan its batches."""

from pathlib import Path
from typing import TYPE_CHECKING

from bidsmill.workflow.plan import lock_dataset
from bidsmill.workflow.job_log import job_log

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with job_log(snakemake.log[0]):
    lock_dataset(
        Path(snakemake.output.lock),
        dataset=snakemake.wildcards.dataset,
        settings=snakemake.params.spec,
        batches=snakemake.params.batches,
    )
