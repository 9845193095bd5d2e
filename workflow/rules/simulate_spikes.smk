"""2,048 samples: what the sensors see of their sources, with noise.

Input: sources.parquet, the clips, the lead field. Output: convert/{shard}.json, and undeclared
matrix/{recording}.parquet with a receipt, sources/ and labels/ beside it. What is up to date is left
alone; `simulate_recording` makes one file again: snakemake -f results/{dataset}/matrix/{recording}.json
"""


rule simulate_spikes:
    input:
        leadfield="results/{dataset}/anatomy/leadfield.npz",
        table="results/{dataset}/sources.parquet",
        banks=banks_of,
        noise=noise_of,
    output:
        manifest="results/{dataset}/convert/{shard}.json",
    log:
        "results/{dataset}/logs/simulate_spikes.{shard}.log",
    benchmark:
        "results/{dataset}/benchmarks/simulate_spikes.{shard}.tsv"
    wildcard_constraints:
        dataset=any_of(WITH_NOISE),
    conda:
        "../../envs/simulate.yaml"
    resources:
        mem_mb=2000,
        runtime=60,
    params:
        spec=simulation_of("seed", "noise", "split"),
        shard=shard_of,
        receipt=code_of_module("simulate/jobs/spikes"),
        code=code_of("simulate_spikes"),
    message:
        "spikes of {wildcards.dataset} {wildcards.shard}"
    script:
        "../scripts/simulate_spikes.py"


rule simulate_recording:
    input:
        leadfield="results/{dataset}/anatomy/leadfield.npz",
        table="results/{dataset}/sources.parquet",
        banks=banks_of,
        noise=noise_of,
    output:
        receipt="results/{dataset}/matrix/{recording}.json",
    log:
        "results/{dataset}/logs/simulate_recording.{recording}.log",
    benchmark:
        "results/{dataset}/benchmarks/simulate_recording.{recording}.tsv"
    wildcard_constraints:
        dataset=any_of(WITH_NOISE),
    conda:
        "../../envs/simulate.yaml"
    resources:
        mem_mb=2000,
        runtime=60,
    params:
        spec=simulation_of("seed", "noise", "split"),
        shard=shard_of_recording,
        receipt=code_of_module("simulate/jobs/spikes"),
        code=code_of("simulate_recording"),
    message:
        "spikes of {wildcards.recording} of {wildcards.dataset}"
    script:
        "../scripts/simulate_recording.py"
