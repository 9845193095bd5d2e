"""Annotate the events of one batch."""

from pathlib import Path
from typing import TYPE_CHECKING

from bidsmill.annotate.batch import annotate_batch
from bidsmill.workflow.job_log import job_log

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

if __name__ == "__main__":
    with job_log(snakemake.log[0]):
        annotate_batch(
            Path(snakemake.input.plan),
            Path(snakemake.input.fetched),
            Path(snakemake.output.manifest),
            settings=snakemake.params.spec,
            code=snakemake.params.receipt,
            hed_sidecar=next((Path(path) for path in snakemake.input.hed), None),
        )
