"""The files of one batch, complete and as they were locked.

Input: plan/{batch}.json. Output: fetch/{batch}.json (per recording: present, or missing and
why). A local dataset is read in place.
"""


rule fetch:
    input:
        plan=plan_of,
    output:
        manifest="results/{dataset}/fetch/{batch}.json",
    log:
        "results/{dataset}/logs/fetch.{batch}.log",
    benchmark:
        "results/{dataset}/benchmarks/fetch.{batch}.tsv"
    conda:
        "../../envs/sources.yaml"
    resources:
        mem_mb=1000,
        runtime=240,
    params:
        spec=settings_of("source", "path"),
        code=code_of("fetch"),
    message:
        "fetch {wildcards.dataset} {wildcards.batch}"
    script:
        "../scripts/fetch.py"
