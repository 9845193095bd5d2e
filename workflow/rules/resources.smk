"""What a job asks of a cluster, and which rules of a dataset share one cluster job.

Memory, minutes and threads come from the plan (src/bidsmill/workflow/resources.py); on one
machine they bind only where a limit is given: snakemake --resources mem_mb=16000.
"""

from bidsmill.workflow import resources
from bidsmill.workflow.shared_files import require_shared_files


def refuse_disks_of_their_own():
    """Refuse an executor whose jobs share no files.

    Some executors tell so after this file was read: `lock`, which is in every graph, asks again.
    """
    try:
        require_shared_files(workflow.storage_settings.shared_fs_usage)
    except BidsmillError as problem:
        raise WorkflowError(str(problem)) from None


refuse_disks_of_their_own()


def size_of(wildcards):
    """Return the size of the batch, or else of the dataset, that a job treats."""
    plans = Path(f"results/{wildcards.dataset}/plan")
    # Asked before there is a lock, too: not by `checkpoints`, which then ends the question.
    if not (plans / "dataset.json").is_file():
        return resources.NOTHING
    if hasattr(wildcards, "batch"):
        return resources.size_of_batch(plans / f"{wildcards.batch}.json")
    if hasattr(wildcards, "recording"):
        return resources.size_of_batch(of_the_batch("plan")(wildcards))
    return resources.size_of_dataset(plans / "dataset.json")


def processes_of(wildcards):
    """Return the processes that convert a batch."""
    return resources.processes_for(size_of(wildcards))


def megabytes_of(wildcards, threads, attempt, rulename):
    """Return the memory of a job; each further attempt asks for as much again."""
    size = size_of(wildcards)
    return resources.megabytes_for(rulename, size, attempt=attempt, processes=threads)


def minutes_of(wildcards, threads, attempt, rulename):
    """Return the minutes of a job; each further attempt asks for as much again."""
    size = size_of(wildcards)
    return resources.minutes_for(rulename, size, attempt=attempt, processes=threads)
