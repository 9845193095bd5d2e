"""Make the streams of one batch that are not up to date."""

from pathlib import Path
from typing import TYPE_CHECKING

from bidsmill.streams.batch import stream_batch
from bidsmill.workflow.job_log import job_log

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

if __name__ == "__main__":
    with job_log(snakemake.log[0]):
        stream_batch(
            Path(snakemake.input.plan),
            Path(snakemake.input.fetched),
            Path(snakemake.input.annotated),
            Path(snakemake.output.manifest),
            settings=snakemake.params.spec,
            code=snakemake.params.receipts,
            processes=snakemake.threads,
        )
