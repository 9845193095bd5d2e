"""Write the page of a simulated dataset."""

from pathlib import Path
from typing import TYPE_CHECKING

from bidsmill.report.simulated_page import write_simulated_page
from bidsmill.workflow.job_log import job_log

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

if __name__ == "__main__":
    with job_log(snakemake.log[0]):
        page = Path(snakemake.output.page)
        write_simulated_page(page.parent, page)
