"""Split one dataset."""

from pathlib import Path
from typing import TYPE_CHECKING

from bidsmill.split.dataset import split_dataset
from bidsmill.workflow.job_log import job_log

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

if __name__ == "__main__":
    with job_log(snakemake.log[0]):
        split_dataset(
            Path(snakemake.input.samples),
            Path(snakemake.output.table),
            Path(snakemake.output.certificate),
            dataset=snakemake.wildcards.dataset,
            labels=list(snakemake.params.spec["labels"]),
            settings=snakemake.params.spec["split"],
            people=snakemake.params.people,
            duplicates_path=Path(snakemake.input.duplicates),
            previous_path=Path(snakemake.input.previous),
            fixed_paths=list(map(Path, snakemake.input.fixed)),
        )
