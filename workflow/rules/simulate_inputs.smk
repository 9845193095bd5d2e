"""What the rules of simulated spikes share: their settings, their blocks of regions, their files."""

import os
from types import SimpleNamespace

SIMULATED = sorted(CONFIG["simulation"])
WITH_BACKGROUND = [
    name for name in SIMULATED if CONFIG["simulation"][name]["background"]
]
WITH_NOISE = [name for name in SIMULATED if name not in WITH_BACKGROUND]
EXPORTED = [name for name in WITH_NOISE if CONFIG["simulation"][name]["mat"]]
EVERY_DATASET = [*DATASETS, *SIMULATED]
# All settings that say something of the samples; `mat` makes other files of them.
OF_TABLES = [
    *("seed", "samples", "version", "license", "on_bad_sample"),
    *("anatomy", "activity", "clips", "sources", "noise", "split", "background"),
]
BANK = (
    "clips.npy",
    "projected.npy",
    "waveforms.npy",
    "clips.parquet",
    "bank.json",
    "regions.tsv",
)


def any_of(names):
    """Return what a wildcard may be: one of these names."""
    return "|".join(names) or "(?!)"


def simulation_of(*keys):
    """Return a params function: those settings of a simulated dataset, as one tracked value."""

    def spec(wildcards):
        settings = CONFIG["simulation"][wildcards.dataset]
        return {key: settings[key] for key in keys or settings}

    return spec


def section_of(section, *keys):
    """Return a params function: settings of one section, all but those that are named."""

    def spec(wildcards):
        settings = CONFIG["simulation"][wildcards.dataset][section]
        return {key: value for key, value in settings.items() if key not in keys}

    return spec


def named_files(section, *keys):
    """Return an input function: files that a section names, or those of its folder, if there."""

    def paths(wildcards):
        settings = CONFIG["simulation"][wildcards.dataset][section]
        named = [settings[key] for key in keys if settings[key]]
        every = [
            p for each in named for p in ([each] if isinstance(each, str) else each)
        ]
        inner = [str(path) for p in every for path in sorted(Path(p).glob("*.mat"))]
        return [path for path in [*every, *inner] if Path(path).is_file()]

    return paths


def blocks_of(dataset):
    """Return the blocks of regions of a simulated dataset, once they are planned."""
    plan = checkpoints.simulate_blocks.get(dataset=dataset).output.blocks
    return json.loads(Path(plan).read_bytes())["blocks"]


def block_plan_of(wildcards):
    """Return the plan of a block, once the blocks are planned."""
    checkpoints.simulate_blocks.get(dataset=wildcards.dataset)
    return f"results/{wildcards.dataset}/plan/{wildcards.block}.json"


def activity_of_block(wildcards):
    """Return the simulated activity of a block and its facts; none for clips of others."""
    settings = CONFIG["simulation"][wildcards.dataset]
    if settings["clips"]["folder"]:
        return []
    base = f"results/{wildcards.dataset}/activity/{wildcards.block}"
    return [f"{base}.npy", f"{base}.json"]


def banks_of(wildcards):
    """Return all files of the clips of all blocks."""
    return [
        f"results/{wildcards.dataset}/clips/{block}/{name}"
        for block in blocks_of(wildcards.dataset)
        for name in BANK
    ]


def shards_of(dataset):
    """Return the matrix files of a simulated dataset, once its sources are drawn."""
    plan = checkpoints.simulate_sources.get(dataset=dataset).output.overview
    return json.loads(Path(plan).read_bytes())["shards"]


def shard_of(wildcards):
    """Return what is said of one matrix file."""
    return shards_of(wildcards.dataset)[wildcards.shard]


def shard_of_recording(wildcards):
    """Return the same for the name of the file."""
    for shard in shards_of(wildcards.dataset).values():
        if shard["recording"] == wildcards.recording:
            return shard
    raise WorkflowError(
        f"{wildcards.dataset} has no recording {wildcards.recording}; "
        f"results/{wildcards.dataset}/recordings.tsv lists them"
    )


def noise_of(wildcards):
    """Return the file of recorded noise; of a dataset of this config, what states its files."""
    file = CONFIG["simulation"][wildcards.dataset]["noise"]["file"]
    parts = Path(os.path.relpath(file, "results")).parts if file else ()
    if len(parts) == 3 and parts[0] in DATASETS and parts[1] == "matrix":
        return conversions_of(SimpleNamespace(dataset=parts[0]))
    return named_files("noise", "file")(wildcards)


def conversions_of(wildcards):
    """Return the manifests of all matrix files of a dataset, converted or simulated."""
    base = f"results/{wildcards.dataset}/convert"
    if wildcards.dataset in WITH_BACKGROUND:
        return [f"{base}/background.json"]
    if wildcards.dataset in WITH_NOISE:
        return [f"{base}/{shard}.json" for shard in shards_of(wildcards.dataset)]
    return of_every_batch("convert")(wildcards)


def origin_of(*names):
    """Return an input function: results of the dataset to whose rows spikes are added."""

    def paths(wildcards):
        origin = CONFIG["simulation"][wildcards.dataset]["background"]["dataset"]
        converted = conversions_of(SimpleNamespace(dataset=origin))
        return [*(f"results/{origin}/{name}" for name in names), *converted]

    return paths
