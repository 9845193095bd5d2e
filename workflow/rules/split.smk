"""Who trains, who tests, and the proof of it.

Input: samples.parquet, duplicates.tsv (recordings that share signals), the split before this one
(written by `lock`), a split of one's own or one over several datasets (`split_together`). Output:
split.tsv (one row per group), split.json (the certificate).
"""


rule split:
    input:
        samples="results/{dataset}/samples.parquet",
        duplicates="results/{dataset}/duplicates.tsv",
        previous=previous_split_of,
        fixed=fixed_split_of,
    output:
        table=report(
            "results/{dataset}/split.tsv",
            caption="../report/split.rst",
            category="{dataset}",
            labels={"what": "groups and their sides"},
        ),
        certificate="results/{dataset}/split.json",
    log:
        "results/{dataset}/logs/split.log",
    benchmark:
        "results/{dataset}/benchmarks/split.tsv"
    conda:
        "../../envs/split.yaml"
    resources:
        mem_mb=megabytes_of,
        runtime=minutes_of,
    params:
        spec=settings_of("labels", "split"),
        people=people_of_dataset,
        code=code_of("split"),
    message:
        "split {wildcards.dataset}"
    script:
        "../scripts/split.py"
