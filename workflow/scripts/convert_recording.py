"""Convert one recording again."""

from pathlib import Path
from typing import TYPE_CHECKING

from bidsmill.convert.batch import convert_batch
from bidsmill.workflow.job_log import job_log

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

if __name__ == "__main__":
    with job_log(snakemake.log[0]):
        convert_batch(
            Path(snakemake.input.plan),
            Path(snakemake.input.fetched),
            Path(snakemake.input.annotated),
            Path(
                "results", snakemake.wildcards.dataset, "convert", Path(snakemake.input.plan).name
            ),
            settings=snakemake.params.spec,
            code=snakemake.params.receipt,
            only=snakemake.wildcards.recording,
            streams_path=snakemake.input.streams or None,
        )
