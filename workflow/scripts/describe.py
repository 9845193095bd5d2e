"""Describe one dataset."""

from pathlib import Path
from typing import TYPE_CHECKING

from bidsmill.report.describe import describe_dataset
from bidsmill.workflow.job_log import job_log

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

if __name__ == "__main__":
    with job_log(snakemake.log[0]):
        describe_dataset(
            dict(snakemake.input.items()),
            Path(snakemake.output.description),
            Path(snakemake.output.readme),
            dataset=snakemake.wildcards.dataset,
            settings=snakemake.params.settings,
        )
