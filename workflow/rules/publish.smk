"""A dataset goes to the store: files, then the manifest, then the pointer.

Input: everything that is published. Output: published.json (version and manifest, or why the
licence of the dataset keeps it out of the store).
"""


rule publish_dataset:
    input:
        converted=conversions_of,
        streamed=streams_of_every_batch,
        recordings="results/{dataset}/recordings.tsv",
        events="results/{dataset}/events.tsv",
        samples="results/{dataset}/samples.parquet",
        channels="results/{dataset}/channels.tsv",
        sidecars=[
            "results/{dataset}/recordings.json",
            "results/{dataset}/events.json",
            "results/{dataset}/samples.json",
            "results/{dataset}/channels.json",
        ],
        split="results/{dataset}/split.tsv",
        certificate="results/{dataset}/split.json",
        validation="results/{dataset}/validation.json",
        description="results/{dataset}/dataset.json",
        readme="results/{dataset}/README.md",
        page="results/{dataset}/report.html",
    output:
        published="results/{dataset}/published.json",
    log:
        "results/{dataset}/logs/publish_dataset.log",
    benchmark:
        "results/{dataset}/benchmarks/publish_dataset.tsv"
    wildcard_constraints:
        dataset=any_of(EVERY_DATASET),
    conda:
        "../../envs/sources.yaml"
    resources:
        mem_mb=megabytes_of,
        runtime=minutes_of,
    params:
        store=CONFIG["store"],
        license_allowed=license_allowed,
        streams=publishes_streams,
        code=code_of("publish_dataset"),
    message:
        "publish {wildcards.dataset}"
    script:
        "../scripts/publish_dataset.py"
