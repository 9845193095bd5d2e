"""Who trains, who tests, and the proof of it.

Input: samples.parquet, duplicates.tsv (recordings that share signals), the split before this one
(written by `lock`), a split of one's own. Output: split.tsv (one row per group), split.json (the
certificate).
"""


def previous_split_of(wildcards):
    """Return the split before this one, once the dataset is locked."""
    checkpoints.lock.get(dataset=wildcards.dataset)
    return f"results/{wildcards.dataset}/split-previous.json"


def fixed_split_of(wildcards):
    """Return the table of a split of one's own, if the config names one."""
    path = CONFIG["datasets"][wildcards.dataset]["split"]["fixed"]
    return [path] if path else []


def people_of_dataset(wildcards):
    """Return who is the same person under several names."""
    return people_of(CONFIG, wildcards.dataset)


rule split:
    input:
        samples="results/{dataset}/samples.parquet",
        duplicates="results/{dataset}/duplicates.tsv",
        previous=previous_split_of,
        fixed=fixed_split_of,
    output:
        table="results/{dataset}/split.tsv",
        certificate="results/{dataset}/split.json",
    log:
        "results/{dataset}/logs/split.log",
    benchmark:
        "results/{dataset}/benchmarks/split.tsv"
    conda:
        "../../envs/split.yaml"
    resources:
        mem_mb=2000,
        runtime=60,
    params:
        spec=settings_of("labels", "split"),
        people=people_of_dataset,
        code=code_of("split"),
    message:
        "split {wildcards.dataset}"
    script:
        "../scripts/split.py"
