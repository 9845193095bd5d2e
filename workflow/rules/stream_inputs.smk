"""What the streams of a dataset take from the config: functions of wildcards."""


def streams_of(wildcards):
    """Return the settings of a dataset that shape its streams, as one tracked value."""
    settings = CONFIG["datasets"][wildcards.dataset]
    if settings["streams"] is None:
        raise WorkflowError(
            f"{wildcards.dataset} has no streams; give it the section `streams`"
        )
    keys = ("source", "path", "channels", "repairs", "on_bad_recording")
    streams = {key: settings["streams"][key] for key in ("nodes", "write")}
    return {key: settings[key] for key in keys if key in settings} | {
        "streams": streams
    }


def source_of_rows(path_of):
    """Return an input function: the streams that rows are cut from, if they are."""

    def path(wildcards):
        windows = CONFIG["datasets"][wildcards.dataset]["windows"]
        return path_of(wildcards) if windows["source"] else []

    return path


def streams_of_the_batch(wildcards):
    """Return the streams of a batch."""
    return f"results/{wildcards.dataset}/streams/{wildcards.batch}.json"


def streams_of_every_batch(wildcards):
    """Return the streams of all batches, if the dataset has streams."""
    if CONFIG["datasets"].get(wildcards.dataset, {}).get("streams") is None:
        return []
    return of_every_batch("streams")(wildcards)


def publishes_streams(wildcards):
    """Return whether the streams of a dataset are published."""
    settings = CONFIG["datasets"].get(wildcards.dataset, {}).get("streams")
    return bool(settings and settings["publish"])
