"""Which patches spike in each sample.

Input: the anatomy and all clips. Output: sources.parquet, one row per sample, and sources.json: which
of them stand in which matrix file.
"""


checkpoint simulate_sources:
    input:
        anatomy="results/{dataset}/anatomy/anatomy.npz",
        leadfield="results/{dataset}/anatomy/leadfield.npz",
        banks=banks_of,
        named=named_files("sources", "described"),
    output:
        table="results/{dataset}/sources.parquet",
        overview="results/{dataset}/sources.json",
    log:
        "results/{dataset}/logs/simulate_sources.log",
    benchmark:
        "results/{dataset}/benchmarks/simulate_sources.tsv"
    wildcard_constraints:
        dataset=any_of(WITH_NOISE),
    conda:
        "../../envs/simulate.yaml"
    resources:
        mem_mb=4000,
        runtime=120,
    params:
        spec=simulation_of("seed", "samples", "sources", "split"),
        code=code_of("simulate_sources"),
    message:
        "sources of {wildcards.dataset}"
    script:
        "../scripts/simulate_sources.py"
