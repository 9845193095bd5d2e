"""bidsmill: from BIDS archives of EEG, MEG, iEEG and EMG to matrices you can train on."""

import sys
from pathlib import Path

from snakemake.utils import min_version

min_version("9.19")

# The library is found here by every rule and every job, also inside conda environments, and before
# any installed version of it: the code whose hash the rules track is the code that runs.
LIBRARY = str(Path(workflow.basedir) / "src")
sys.path.insert(0, LIBRARY)

from bidsmill.workflow.jobs import use_library

use_library(LIBRARY)


# A config on the command line replaces the default one, it does not add to it.
if not workflow.config_settings.configfiles:

    configfile: workflow.source_path("config/config.yaml")


report: "workflow/report/workflow.rst"


include: "workflow/rules/common.smk"
include: "workflow/rules/simulate_inputs.smk"


wildcard_constraints:
    dataset="|".join(DATASETS) or "(?!)",
    together="|".join(CONFIG["together"]) or "(?!)",
    batch=r"b\d+",
    block=r"b\d+",
    shard=r"s\d+",
    recording=r"sub-[^/]+",


# Every published dataset, with its report: what `snakemake --cores N` makes.
rule all:
    default_target: True
    input:
        published=collect("results/{dataset}/published.json", dataset=EVERY_DATASET),
        exported=collect(
            "results/{dataset}/mat/extraction_metadata.mat", dataset=EXPORTED
        ),
    localrule: True


# The same, by the name of the stage.
rule publish:
    input:
        published=collect("results/{dataset}/published.json", dataset=EVERY_DATASET),
    localrule: True


# The pages alone; nothing is published.
rule report:
    input:
        pages=collect("results/{dataset}/report.html", dataset=EVERY_DATASET),
    localrule: True


include: "workflow/rules/resources.smk"
include: "workflow/rules/fetch_inputs.smk"
include: "workflow/rules/lock.smk"
include: "workflow/rules/fetch.smk"
include: "workflow/rules/validate.smk"
include: "workflow/rules/annotate.smk"
include: "workflow/rules/stream_inputs.smk"
include: "workflow/rules/stream.smk"
include: "workflow/rules/convert.smk"
include: "workflow/rules/collate.smk"
include: "workflow/rules/split_inputs.smk"
include: "workflow/rules/split_together.smk"
include: "workflow/rules/split.smk"
include: "workflow/rules/describe.smk"
include: "workflow/rules/report.smk"
include: "workflow/rules/simulate_anatomy.smk"
include: "workflow/rules/simulate_activity.smk"
include: "workflow/rules/simulate_clips.smk"
include: "workflow/rules/simulate_sources.smk"
include: "workflow/rules/simulate_spikes.smk"
include: "workflow/rules/simulate_tables.smk"
include: "workflow/rules/simulate_background.smk"
include: "workflow/rules/report_simulated.smk"
include: "workflow/rules/export_mat.smk"
include: "workflow/rules/publish_inputs.smk"
include: "workflow/rules/publish.smk"


# What needs the network: before jobs go to machines that have none.
rule fetched:
    input:
        *[fetched_of(dataset) for dataset in DATASETS],
    localrule: True


onstart:
    ask_for_news()


onsuccess:
    show_summary()


onerror:
    show_summary()
