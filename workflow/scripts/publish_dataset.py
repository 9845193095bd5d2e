"""Publish one dataset."""

from pathlib import Path
from typing import TYPE_CHECKING

from bidsmill.store.publish import publish_dataset
from bidsmill.workflow.job_log import job_log

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

if __name__ == "__main__":
    with job_log(snakemake.log[0]):
        publish_dataset(
            Path(snakemake.output.published).parent,
            [Path(path) for path in snakemake.input.converted],
            Path(snakemake.output.published),
            dataset=snakemake.wildcards.dataset,
            store=snakemake.params.store,
            license_allowed=snakemake.params.license_allowed,
            connection=snakemake.config["publish"],
            streams=snakemake.params.streams,
        )
