"""One page per dataset that a person should look at.

Input: the tables, the certificate, the validation, the description. Output: report.html.
"""


rule report_dataset:
    input:
        dataset=overview_of,
        converted=of_every_batch("convert"),
        recordings="results/{dataset}/recordings.tsv",
        events="results/{dataset}/events.tsv",
        samples="results/{dataset}/samples.parquet",
        channels="results/{dataset}/channels.tsv",
        vocabulary="results/{dataset}/labels.json",
        split="results/{dataset}/split.tsv",
        certificate="results/{dataset}/split.json",
        validation="results/{dataset}/validation.json",
        description="results/{dataset}/dataset.json",
    output:
        page=report(
            "results/{dataset}/report.html",
            caption="../report/dataset.rst",
            category="{dataset}",
            labels={"what": "page"},
        ),
    log:
        "results/{dataset}/logs/report_dataset.log",
    benchmark:
        "results/{dataset}/benchmarks/report_dataset.tsv"
    conda:
        "../../envs/report.yaml"
    resources:
        mem_mb=megabytes_of,
        runtime=minutes_of,
    params:
        code=code_of("report_dataset"),
    message:
        "report on {wildcards.dataset}"
    script:
        "../scripts/report_dataset.py"
