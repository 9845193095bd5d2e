"""One page per simulated dataset that a person should look at.

Input: the tables, the anatomy, what became of each region. Output: report.html.
"""


rule report_simulated:
    input:
        anatomy="results/{dataset}/anatomy/anatomy.npz",
        converted=conversions_of,
        banks=banks_of,
        samples="results/{dataset}/samples.parquet",
        certificate="results/{dataset}/split.json",
        description="results/{dataset}/dataset.json",
    output:
        page=report(
            "results/{dataset}/report.html",
            caption="../report/simulated.rst",
            category="{dataset}",
            labels={"what": "page"},
        ),
    log:
        "results/{dataset}/logs/report_simulated.log",
    benchmark:
        "results/{dataset}/benchmarks/report_simulated.tsv"
    wildcard_constraints:
        dataset=any_of(SIMULATED),
    conda:
        "../../envs/report.yaml"
    resources:
        mem_mb=2000,
        runtime=60,
    params:
        code=code_of("report_simulated"),
    message:
        "report on {wildcards.dataset}"
    script:
        "../scripts/report_simulated.py"
