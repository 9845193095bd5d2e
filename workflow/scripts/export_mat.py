"""Write simulated samples as MAT-files."""

from pathlib import Path
from typing import TYPE_CHECKING

from bidsmill.simulate.jobs.mat import make_mat
from bidsmill.workflow.job_log import job_log

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

if __name__ == "__main__":
    with job_log(snakemake.log[0]):
        make_mat(
            Path(snakemake.input.tables).parent,
            Path(snakemake.output.metadata).parent,
            snakemake.wildcards.dataset,
            snakemake.params.spec["mat"],
            snakemake.params.spec["on_bad_sample"] == "leave_out",
        )
