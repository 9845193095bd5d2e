"""Validate one dataset."""

from pathlib import Path
from typing import TYPE_CHECKING

from bidsmill.workflow.job_log import job_log
from bidsmill.workflow.validation import validate_locked

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

if __name__ == "__main__":
    with job_log(snakemake.log[0]):
        validate_locked(
            Path(snakemake.input.dataset),
            Path(snakemake.output.validation),
            fatal=snakemake.params.spec["validate"]["fatal"],
            hed_sidecar=next((Path(path) for path in snakemake.input.hed), None),
            use_proposed=snakemake.params.spec["hed"]["proposed"] == "use",
        )
