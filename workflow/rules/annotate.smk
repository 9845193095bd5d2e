"""The events of the recordings of one batch, with assembled HED and the choice of events.

Input: plan/{batch}.json and fetch/{batch}.json. Output: annotate/{batch}.json, and undeclared
events/{recording}.tsv with a receipt beside each.
"""


rule annotate:
    input:
        plan=plan_of,
        dataset=overview_of,
        fetched="results/{dataset}/fetch/{batch}.json",
    output:
        manifest="results/{dataset}/annotate/{batch}.json",
    log:
        "results/{dataset}/logs/annotate.{batch}.log",
    benchmark:
        "results/{dataset}/benchmarks/annotate.{batch}.tsv"
    conda:
        "../../envs/annotate.yaml"
    resources:
        mem_mb=megabytes_of,
        runtime=120,
    params:
        spec=settings_of("windows", "annotations", "repairs"),
        receipt=code_of_module("annotate/recording"),
        code=code_of("annotate"),
    message:
        "annotate {wildcards.dataset} {wildcards.batch}"
    script:
        "../scripts/annotate.py"
