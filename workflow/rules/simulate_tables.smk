"""Tables, split and description of simulated spikes.

Input: all matrix files. Output: what `collate`, `split`, `validate` and `describe` make of recordings,
and undeclared failed.tsv: it must stay when the job fails, for the message names it.
"""


rule simulate_tables:
    input:
        leadfield="results/{dataset}/anatomy/leadfield.npz",
        overview="results/{dataset}/sources.json",
        converted=conversions_of,
    output:
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
        "results/{dataset}/logs/simulate_tables.log",
    benchmark:
        "results/{dataset}/benchmarks/simulate_tables.tsv"
    wildcard_constraints:
        dataset=any_of(WITH_NOISE),
    conda:
        "../../envs/simulate.yaml"
    resources:
        mem_mb=4000,
        runtime=60,
    params:
        spec=simulation_of(*OF_TABLES),
        code=code_of("simulate_tables"),
    message:
        "tables of {wildcards.dataset}"
    script:
        "../scripts/simulate_tables.py"
