"""Lock one dataset and plan its batches."""

from pathlib import Path
from typing import TYPE_CHECKING

from bidsmill.workflow.job_log import job_log
from bidsmill.workflow.jobs import news_are_asked_for
from bidsmill.workflow.plan import lock_dataset

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

if __name__ == "__main__":
    with job_log(snakemake.log[0]):
        lock_dataset(
            Path(snakemake.output.lock),
            dataset=(name := snakemake.wildcards.dataset),
            settings=snakemake.params.spec | snakemake.config["connections"][name],
            **snakemake.params.shared,
            connection=snakemake.config["publish"],
            take_news=news_are_asked_for(),
            committed=next(map(Path, snakemake.input.committed), None),
            adopted=next(map(Path, snakemake.input.adopted), None),
            question=snakemake.config["digests"][name],
        )
