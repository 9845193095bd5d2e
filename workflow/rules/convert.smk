"""Recordings become matrices.

Input: plan/{batch}.json, fetch/{batch}.json, annotate/{batch}.json. Output:
convert/{batch}.json, and undeclared matrix/{recording}.parquet with a receipt beside each.
What is up to date is left alone; `convert_recording` makes one recording again:
snakemake -f results/{dataset}/matrix/{recording}.json
"""


rule convert:
    input:
        plan=plan_of,
        fetched="results/{dataset}/fetch/{batch}.json",
        annotated="results/{dataset}/annotate/{batch}.json",
        streams=source_of_rows(streams_of_the_batch),
    output:
        manifest="results/{dataset}/convert/{batch}.json",
    log:
        "results/{dataset}/logs/convert.{batch}.log",
    benchmark:
        "results/{dataset}/benchmarks/convert.{batch}.tsv"
    conda:
        "../../envs/convert.yaml"
    threads: processes_of
    resources:
        mem_mb=megabytes_of,
        runtime=minutes_of,
    params:
        spec=settings_of(
            "source",
            "path",
            "windows",
            "channels",
            "reference",
            "resample",
            "filter",
            "repairs",
            "limits",
            "on_bad_recording",
        ),
        receipt=code_of_module("convert/recording"),
        code=code_of("convert"),
    message:
        "convert {wildcards.dataset} {wildcards.batch}"
    script:
        "../scripts/convert.py"


rule convert_recording:
    input:
        plan=of_the_batch("plan"),
        fetched=of_the_batch("fetch"),
        annotated=of_the_batch("annotate"),
        streams=source_of_rows(of_the_batch("streams")),
    output:
        receipt="results/{dataset}/matrix/{recording}.json",
    log:
        "results/{dataset}/logs/convert_recording.{recording}.log",
    benchmark:
        "results/{dataset}/benchmarks/convert_recording.{recording}.tsv"
    conda:
        "../../envs/convert.yaml"
    resources:
        mem_mb=megabytes_of,
        runtime=minutes_of,
    params:
        spec=settings_of(
            "source",
            "path",
            "windows",
            "channels",
            "reference",
            "resample",
            "filter",
            "repairs",
            "limits",
            "on_bad_recording",
        ),
        receipt=code_of_module("convert/recording"),
        code=code_of("convert_recording"),
    message:
        "convert {wildcards.recording} of {wildcards.dataset}"
    script:
        "../scripts/convert_recording.py"
