"""Recordings become continuous streams with their epocs, and named nodes made of them.

Input: plan/{batch}.json, fetch/{batch}.json, annotate/{batch}.json. Output:
streams/{batch}.json, and undeclared streams/{recording}_stream.parquet, _epocs.parquet and
{recording}_desc-{node}_*.parquet with their sidecars and a receipt for each recording.
What is up to date is left alone; `stream_recording` makes one file again:
snakemake -f results/{dataset}/streams/{recording}_desc-{node}_stream.json
"""


rule stream:
    input:
        plan=plan_of,
        fetched="results/{dataset}/fetch/{batch}.json",
        annotated="results/{dataset}/annotate/{batch}.json",
    output:
        manifest="results/{dataset}/streams/{batch}.json",
    log:
        "results/{dataset}/logs/stream.{batch}.log",
    benchmark:
        "results/{dataset}/benchmarks/stream.{batch}.tsv"
    conda:
        "../../envs/stream.yaml"
    threads: processes_of
    resources:
        mem_mb=megabytes_of,
        runtime=minutes_of,
    params:
        spec=streams_of,
        receipts={
            "recording": code_of_module("streams/recording"),
            "nodes": code_of_module("streams/node_files"),
        },
        code=code_of("stream"),
    message:
        "stream {wildcards.dataset} {wildcards.batch}"
    script:
        "../scripts/stream.py"


rule stream_recording:
    input:
        plan=of_the_batch("plan"),
        fetched=of_the_batch("fetch"),
        annotated=of_the_batch("annotate"),
    output:
        sidecar="results/{dataset}/streams/{recording}{node}_{kind}.json",
    log:
        "results/{dataset}/logs/stream_recording.{recording}{node}_{kind}.log",
    benchmark:
        "results/{dataset}/benchmarks/stream_recording.{recording}{node}_{kind}.tsv"
    wildcard_constraints:
        recording=r"sub-(?:(?!_desc-)[^/])+",
        node=r"(?:_desc-[A-Za-z][A-Za-z0-9_]*)?",
        kind="stream|epocs|table",
    conda:
        "../../envs/stream.yaml"
    resources:
        mem_mb=megabytes_of,
        runtime=minutes_of,
    params:
        spec=streams_of,
        receipts={
            "recording": code_of_module("streams/recording"),
            "nodes": code_of_module("streams/node_files"),
        },
        code=code_of("stream_recording"),
    message:
        "stream {wildcards.recording}{wildcards.node} of {wildcards.dataset}"
    script:
        "../scripts/stream_recording.py"
