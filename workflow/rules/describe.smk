"""What a dataset is and what was done to it.

Input: the tables, the certificate, the validation. Output: dataset.json, README.md.
"""


rule describe:
    input:
        dataset=overview_of,
        annotated=of_every_batch("annotate"),
        converted=of_every_batch("convert"),
        recordings="results/{dataset}/recordings.tsv",
        samples="results/{dataset}/samples.parquet",
        vocabulary="results/{dataset}/labels.json",
        split="results/{dataset}/split.json",
        validation="results/{dataset}/validation.json",
    output:
        description="results/{dataset}/dataset.json",
        readme="results/{dataset}/README.md",
    log:
        "results/{dataset}/logs/describe.log",
    benchmark:
        "results/{dataset}/benchmarks/describe.tsv"
    conda:
        "../../envs/tables.yaml"
    resources:
        mem_mb=megabytes_of,
        runtime=minutes_of,
    params:
        settings=lambda wildcards: {
            key: value
            for key, value in CONFIG["datasets"][wildcards.dataset].items()
            if key not in CONNECTION
        },
        code=code_of("describe"),
    message:
        "describe {wildcards.dataset}"
    script:
        "../scripts/describe.py"
