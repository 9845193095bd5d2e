"""Who trains, who tests, and the proof of it.

Input: samples.parquet. Output: split.tsv (one row per group), split.json (the certificate).
"""


rule split:
    input:
        samples="results/{dataset}/samples.parquet",
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
        code=code_of("split"),
    message:
        "split {wildcards.dataset}"
    script:
        "../scripts/split.py"
