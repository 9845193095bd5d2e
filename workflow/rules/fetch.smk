"""The files of a dataset, complete and as they were locked.

Input: plan/{batch}.json, or plan/dataset.json for the files that no single batch owns. Output:
fetch/{batch}.json (per recording: present, or missing and why) and fetch/dataset.json. A local
dataset is read in place. One job at a time downloads (`download` in the profile): it uses many
connections, and the limits in the config are those of the whole run.
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
    group:
        group_of_fetch
    conda:
        "../../envs/sources.yaml"
    resources:
        mem_mb=megabytes_of,
        runtime=minutes_of,
        download=connections_of,
    params:
        spec=settings_of(*ORIGIN, "limits"),
        code=code_of("fetch"),
    message:
        "fetch {wildcards.dataset} {wildcards.batch}"
    script:
        "../scripts/fetch.py"


rule fetch_dataset:
    input:
        dataset=overview_of,
    output:
        manifest="results/{dataset}/fetch/dataset.json",
    log:
        "results/{dataset}/logs/fetch_dataset.log",
    benchmark:
        "results/{dataset}/benchmarks/fetch_dataset.tsv"
    group:
        group_of_fetch
    conda:
        "../../envs/sources.yaml"
    resources:
        mem_mb=megabytes_of,
        runtime=minutes_of,
        download=connections_of,
    params:
        spec=settings_of(*ORIGIN),
        code=code_of("fetch_dataset"),
    message:
        "fetch {wildcards.dataset}"
    script:
        "../scripts/fetch_dataset.py"
