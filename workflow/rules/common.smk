"""What the rules share: the checked config, code hashes, and which batches a dataset has."""

import json

from bidsmill.batches import batch_name
from bidsmill.errors import BidsmillError
from bidsmill.formats.files import canonical_sha256
from bidsmill.sources.place import is_remote
from bidsmill.workflow.code_hash import code_hash
from bidsmill.workflow.config import check_duplicates, load_schema, resolve
from bidsmill.workflow import jobs
from bidsmill.workflow.failures import FailedJobs, print_failures
from bidsmill.workflow.losses import tell_losses
from bidsmill.workflow.people import people_of
from bidsmill.workflow.summary import print_summary
from snakemake.exceptions import WorkflowError

SOURCE = Path(workflow.basedir) / "src"
SCRIPTS = Path(workflow.basedir) / "workflow" / "scripts"

try:
    for path in workflow.config_settings.configfiles:
        check_duplicates(path)
    CONFIG = resolve(
        config,
        load_schema(
            Path(workflow.basedir) / "workflow" / "schemas" / "config.schema.yaml"
        ),
    )
except BidsmillError as problem:
    raise WorkflowError(str(problem)) from None

DATASETS = sorted(CONFIG["datasets"])

if workflow.is_main_process:
    tell_losses(jobs.asked_of(DATASETS))
    FAILED = FailedJobs().listen()

# The settings that say where a dataset comes from.
ORIGIN = ("source", "path", "id", "url", "manifest")
# How it is reached changes nothing that is made: scripts find it in the config, not in `params`.
CONNECTION = ("endpoint", "profile", "fetch")
config["connections"] = {
    # `lock` wants to know the limits too, only to see whether the disk has room.
    name: {key: settings[key] for key in (*CONNECTION, "limits") if key in settings}
    for name, settings in CONFIG["datasets"].items()
}
# The previous split is taken anew with other settings, but these alone make no new lock.
config["digests"] = {
    name: canonical_sha256(
        {k: v for k, v in settings.items() if k not in CONNECTION}
        | {"together": own for own in CONFIG["together"].values() if name in own}
    )
    for name, settings in CONFIG["datasets"].items()
}


def code_of(rule_name):
    """Return the hash of a rule's script and of all that it imports from the library."""
    return code_hash(SCRIPTS / f"{rule_name}.py", SOURCE)


def code_of_module(name):
    """Return the hash of a module: what receipts remember of the code."""
    return code_hash(SOURCE / "bidsmill" / f"{name}.py", SOURCE)


def settings_of(*keys):
    """Return a params function: those settings of the dataset, as one tracked value."""

    def spec(wildcards):
        settings = CONFIG["datasets"][wildcards.dataset]
        return {key: settings[key] for key in keys if key in settings}

    return spec


def ask_for_news():
    """Tell the jobs whether `lock` was forced; only then is a source asked again."""
    asked = workflow.dag_settings
    forced = {str(name) for name in asked.forcerun}
    if asked.forcetargets:
        forced |= {str(target) for target in asked.targets}
    if asked.forceall or any(Path(name).stem == "lock" for name in forced):
        jobs.ask_for_news()


def committed_lock_of(wildcards):
    """Return the lock that is committed for a dataset, if there is one."""
    path = Path(CONFIG["locks"]) / f"{wildcards.dataset}.json"
    return [str(path)] if path.is_file() else []


def hed_sidecar_of(wildcards):
    """Return the sidecar with which the config adds HED to a dataset, if there is one."""
    path = Path(CONFIG["hed_sidecars"]) / f"{wildcards.dataset}.json"
    return [str(path)] if path.is_file() else []


def connections_of(wildcards):
    """Return 1 for a dataset that is downloaded: the profile lets one such job run at a time."""
    return int(is_remote(CONFIG["datasets"][wildcards.dataset]))


def overview_of(wildcards):
    """Return ``plan/dataset.json``, once the dataset is locked."""
    checkpoints.lock.get(dataset=wildcards.dataset)
    return f"results/{wildcards.dataset}/plan/dataset.json"


def plan_of(wildcards):
    """Return the plan of a batch, once the dataset is locked."""
    checkpoints.lock.get(dataset=wildcards.dataset)
    return f"results/{wildcards.dataset}/plan/{wildcards.batch}.json"


def of_every_batch(stage):
    """Return an input function: that stage's file of every batch of the dataset."""

    def paths(wildcards):
        overview = json.loads(Path(overview_of(wildcards)).read_bytes())
        return [
            f"results/{wildcards.dataset}/{stage}/{batch}.json"
            for batch in overview["batches"]
        ]

    return paths


def of_the_batch(stage):
    """Return an input function: that stage's file of the batch that a recording belongs to."""

    def path(wildcards):
        overview = json.loads(Path(overview_of(wildcards)).read_bytes())
        if wildcards.recording not in overview["recordings"]:
            raise WorkflowError(
                f"{wildcards.dataset} has no recording {wildcards.recording}; "
                f"results/{wildcards.dataset}/recordings.tsv lists them"
            )
        name = batch_name(overview["recordings"][wildcards.recording])
        return f"results/{wildcards.dataset}/{stage}/{name}.json"

    return path


def show_summary():
    """Say what was converted, what was not, which jobs failed, and where the results are."""
    print_summary(EVERY_DATASET, CONFIG["store"], CONFIG["publish"]["endpoint"])
    print_failures(FAILED.write())
