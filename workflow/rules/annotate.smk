"""The events of the recordings of one batch, with assembled HED and the choice of events.

Input: plan/{batch}.json, fetch/{batch}.json and, if there is one, config/hed/{dataset}.json.
Output: annotate/{batch}.json, and undeclared events/{recording}.tsv with a receipt beside each
(and {recording}_scopes.tsv, if its HED has temporal scopes).
"""


rule annotate:
    input:
        plan=plan_of,
        fetched="results/{dataset}/fetch/{batch}.json",
        hed=hed_sidecar_of,
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
        runtime=minutes_of,
    params:
        spec=settings_of("windows", "annotations", "repairs", "hed"),
        receipt=code_of_module("annotate/recording"),
        code=code_of("annotate"),
    message:
        "annotate {wildcards.dataset} {wildcards.batch}"
    script:
        "../scripts/annotate.py"
