"""Collate the tables of one dataset."""

from pathlib import Path
from typing import TYPE_CHECKING

from bidsmill.annotate.collate import collate_dataset
from bidsmill.workflow.job_log import job_log

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

if __name__ == "__main__":
    with job_log(snakemake.log[0]):
        collate_dataset(
            Path(snakemake.input.dataset),
            [Path(path) for path in snakemake.input.plans],
            [Path(path) for path in snakemake.input.annotated],
            [Path(path) for path in snakemake.input.converted],
            Path(snakemake.input.fetched),
            {name: Path(path) for name, path in snakemake.output.items()},
            dataset=snakemake.wildcards.dataset,
            settings=snakemake.params.spec,
        )
