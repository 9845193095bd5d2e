"""Make the page of one dataset."""

from pathlib import Path
from typing import TYPE_CHECKING

from bidsmill.report.page import write_report
from bidsmill.workflow.job_log import job_log

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

if __name__ == "__main__":
    with job_log(snakemake.log[0]):
        write_report(
            Path(snakemake.output.page).parent,
            Path(snakemake.output.page),
            dataset=snakemake.wildcards.dataset,
        )
