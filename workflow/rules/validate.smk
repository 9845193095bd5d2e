"""What is wrong with a dataset, as the BIDS validator, hedtools and our own checks see it.

Input: the files of all batches and, if there is one, config/hed/{dataset}.json. Output:
validation.json. Nothing is fatal but what the config calls so.
"""


rule validate:
    input:
        dataset=overview_of,
        fetched=of_every_batch("fetch"),
        shared="results/{dataset}/fetch/dataset.json",
        hed=hed_sidecar_of,
    output:
        validation=report(
            "results/{dataset}/validation.json",
            caption="../report/validation.rst",
            category="{dataset}",
            labels={"what": "what validation found"},
        ),
    log:
        "results/{dataset}/logs/validate.log",
    benchmark:
        "results/{dataset}/benchmarks/validate.tsv"
    conda:
        "../../envs/validate.yaml"
    resources:
        mem_mb=megabytes_of,
        runtime=minutes_of,
    params:
        spec=settings_of("validate", "hed"),
        code=code_of("validate"),
    message:
        "validate {wildcards.dataset}"
    script:
        "../scripts/validate.py"
