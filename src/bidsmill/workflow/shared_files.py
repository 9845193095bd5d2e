"""Whether jobs see the files of each other: without that the pipeline refuses to start."""

from __future__ import annotations

from collections.abc import Iterable

from bidsmill.errors import BidsmillError

# What the jobs of every stage share, in Snakemake's words (`--shared-fs-usage`): results with the
# receipts that no rule declares, and the Snakefile with the library.
NEEDED = ("input-output", "sources")


def require_shared_files(shared: Iterable[object]) -> None:
    """Refuse an executor whose jobs have disks of their own.

    Parameters
    ----------
    shared : iterable
        What Snakemake takes to be on a shared file system (members of its ``SharedFSUsage``).

    Raises
    ------
    BidsmillError
        That says what is missing, and how such machines are used.
    """
    there = {str(usage).rsplit(".", 1)[-1].lower().replace("_", "-") for usage in shared}
    missing = [name for name in NEEDED if name not in there]
    if missing:
        raise BidsmillError(
            "the jobs of this executor do not share a file system, and the pipeline needs one:"
            " stages find what other jobs left beside the declared files",
            found=f"not shared: {', '.join(missing)}",
            expected="a file system that all nodes mount (profiles/default, profiles/slurm)",
            todo="on Kubernetes, AWS Batch or Google Batch let one container treat one dataset and"
            " publish it to a bucket: docs/scale.md, `Without a shared file system`",
        )
