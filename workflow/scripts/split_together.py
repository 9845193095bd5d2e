"""Split several datasets at once."""

from pathlib import Path
from typing import TYPE_CHECKING

from bidsmill.split.datasets import split_datasets
from bidsmill.workflow.job_log import job_log

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

if __name__ == "__main__":
    with job_log(snakemake.log[0]):
        split_datasets(
            snakemake.wildcards.together,
            snakemake.params.members,
            {key: snakemake.input[key] for key in ("samples", "duplicates", "previous")},
            Path(snakemake.output.table),
            Path(snakemake.output.record),
            labels={key: list(value) for key, value in snakemake.params.spec["labels"].items()},
            settings=snakemake.params.spec["split"],
            people=snakemake.params.people,
        )
