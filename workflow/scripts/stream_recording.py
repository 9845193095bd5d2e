"""Make one stream, node or table of epocs again."""

from pathlib import Path
from typing import TYPE_CHECKING

from bidsmill.streams.batch import stream_one
from bidsmill.workflow.job_log import job_log

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

if __name__ == "__main__":
    with job_log(snakemake.log[0]):
        stream_one(
            Path(snakemake.input.plan),
            Path(snakemake.input.fetched),
            Path(snakemake.input.annotated),
            Path(snakemake.output.sidecar),
            settings=snakemake.params.spec,
            code=snakemake.params.receipts,
            recording=snakemake.wildcards.recording,
            node=snakemake.wildcards.node.removeprefix("_desc-") or "raw",
        )
