"""Cortex, regions and lead field, and which regions are simulated together.

Input: files that the config names, if any. Output: anatomy.npz, leadfield.npz and what is known
of them; blocks.json, the regions of each job that makes clips, and, undeclared because they are
replaced only when their bytes differ, plan/{block}.json.
"""


rule simulate_anatomy:
    input:
        named=named_files(
            "anatomy",
            "folder",
            "cortex",
            "inflated",
            "region_mapping",
            "leadfield",
            "montage",
        ),
    output:
        anatomy="results/{dataset}/anatomy/anatomy.npz",
        leadfield="results/{dataset}/anatomy/leadfield.npz",
        facts="results/{dataset}/anatomy/anatomy.json",
    log:
        "results/{dataset}/logs/simulate_anatomy.log",
    benchmark:
        "results/{dataset}/benchmarks/simulate_anatomy.tsv"
    wildcard_constraints:
        dataset=any_of(SIMULATED),
    conda:
        "../../envs/simulate.yaml"
    resources:
        mem_mb=4000,
        runtime=60,
    params:
        spec=section_of("anatomy"),
        code=code_of("simulate_anatomy"),
    message:
        "anatomy of {wildcards.dataset}"
    script:
        "../scripts/simulate_anatomy.py"


checkpoint simulate_blocks:
    input:
        anatomy="results/{dataset}/anatomy/anatomy.npz",
    output:
        blocks="results/{dataset}/anatomy/blocks.json",
    log:
        "results/{dataset}/logs/simulate_blocks.log",
    benchmark:
        "results/{dataset}/benchmarks/simulate_blocks.tsv"
    wildcard_constraints:
        dataset=any_of(SIMULATED),
    conda:
        "../../envs/simulate.yaml"
    resources:
        mem_mb=1000,
        runtime=30,
    params:
        spec=simulation_of("activity"),
        folder=lambda w: CONFIG["simulation"][w.dataset]["clips"]["folder"],
        code=code_of("simulate_blocks"),
    message:
        "plan the regions of {wildcards.dataset}"
    script:
        "../scripts/simulate_blocks.py"
