"""Build cortex and lead field."""

from pathlib import Path
from typing import TYPE_CHECKING

from bidsmill.simulate.jobs.anatomy import make_anatomy
from bidsmill.workflow.job_log import job_log

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

if __name__ == "__main__":
    with job_log(snakemake.log[0]):
        outputs = [Path(getattr(snakemake.output, k)) for k in ("anatomy", "leadfield", "facts")]
        make_anatomy(*outputs, snakemake.params.spec)
