"""The tables of a dataset: recordings, events, samples with their labels, channels.

Input: the manifests of all batches, participants.tsv. Output: recordings.tsv, events.tsv,
samples.parquet, samples.tsv, channels.tsv, a JSON sidecar for each of them, duplicates.tsv,
labels.json.
"""


rule collate:
    input:
        dataset=overview_of,
        fetched="results/{dataset}/fetch/dataset.json",
        plans=of_every_batch("plan"),
        annotated=of_every_batch("annotate"),
        converted=of_every_batch("convert"),
    output:
        recordings=report(
            "results/{dataset}/recordings.tsv",
            caption="../report/recordings.rst",
            category="{dataset}",
            labels={"what": "fate of every recording"},
        ),
        events="results/{dataset}/events.tsv",
        samples="results/{dataset}/samples.parquet",
        samples_text="results/{dataset}/samples.tsv",
        channels="results/{dataset}/channels.tsv",
        recordings_sidecar="results/{dataset}/recordings.json",
        events_sidecar="results/{dataset}/events.json",
        samples_sidecar="results/{dataset}/samples.json",
        channels_sidecar="results/{dataset}/channels.json",
        duplicates="results/{dataset}/duplicates.tsv",
        vocabulary="results/{dataset}/labels.json",
    log:
        "results/{dataset}/logs/collate.log",
    benchmark:
        "results/{dataset}/benchmarks/collate.tsv"
    conda:
        "../../envs/annotate.yaml"
    resources:
        mem_mb=megabytes_of,
        runtime=minutes_of,
    params:
        spec=settings_of("labels", "quality", "repairs", "hed"),
        code=code_of("collate"),
    message:
        "collate {wildcards.dataset}"
    script:
        "../scripts/collate.py"
