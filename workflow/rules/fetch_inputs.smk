"""Which files are fetched, and with what: functions of wildcards."""

from types import SimpleNamespace


def fetched_of(dataset):
    """Return an input function: all that is fetched of a dataset."""

    def paths(wildcards):
        batches = of_every_batch("fetch")(SimpleNamespace(dataset=dataset))
        return [f"results/{dataset}/fetch/dataset.json", *batches]

    return paths


def group_of_fetch(wildcards):
    """Return the group of a check that files are there; a download is a job of its own."""
    if is_remote(CONFIG["datasets"][wildcards.dataset]):
        return None
    return "batch" if hasattr(wildcards, "batch") else "tables"
