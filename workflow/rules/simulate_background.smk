"""Simulated spikes in the rows of a converted dataset, whose tables and split are kept.

Input: the results of that dataset, the clips, the lead field. Output: convert/background.json, the
tables, and undeclared matrix/, sources/, labels/ and failed.tsv.
"""


rule simulate_background:
    input:
        anatomy="results/{dataset}/anatomy/anatomy.npz",
        leadfield="results/{dataset}/anatomy/leadfield.npz",
        banks=banks_of,
        origin=origin_of(
            "samples.parquet",
            "split.tsv",
            "split.json",
            "dataset.json",
            "validation.json",
        ),
    output:
        manifest="results/{dataset}/convert/background.json",
        recordings="results/{dataset}/recordings.tsv",
        events="results/{dataset}/events.tsv",
        samples="results/{dataset}/samples.parquet",
        channels="results/{dataset}/channels.tsv",
        split="results/{dataset}/split.tsv",
        certificate="results/{dataset}/split.json",
        validation="results/{dataset}/validation.json",
        description="results/{dataset}/dataset.json",
        readme="results/{dataset}/README.md",
        plan="results/{dataset}/plan/dataset.json",
        vocabulary="results/{dataset}/labels.json",
        sidecars=[
            "results/{dataset}/recordings.json",
            "results/{dataset}/events.json",
            "results/{dataset}/samples.json",
            "results/{dataset}/channels.json",
        ],
        samples_text="results/{dataset}/samples.tsv",
    log:
        "results/{dataset}/logs/simulate_background.log",
    benchmark:
        "results/{dataset}/benchmarks/simulate_background.tsv"
    wildcard_constraints:
        dataset=any_of(WITH_BACKGROUND),
    conda:
        "../../envs/simulate.yaml"
    resources:
        mem_mb=3000,
        runtime=480,
    params:
        spec=simulation_of(
            "seed", "version", "license", "sources", "split", "background"
        ),
        code=code_of("simulate_background"),
    message:
        "spikes in the rows of {wildcards.dataset}"
    script:
        "../scripts/simulate_background.py"
