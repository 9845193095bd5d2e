"""Spikes are cut out of the activity, or clips of others are taken over.

Input: plan/{block}.json, activity/{block}.npy, the lead field. Output: clips/{block}, the clips with
their projections; regions.tsv says of each region how many spikes it made, and why which of them are
no clips.
"""


rule simulate_clips:
    input:
        leadfield="results/{dataset}/anatomy/leadfield.npz",
        plan=block_plan_of,
        activity=activity_of_block,
    output:
        clips="results/{dataset}/clips/{block}/clips.npy",
        projected="results/{dataset}/clips/{block}/projected.npy",
        waveforms="results/{dataset}/clips/{block}/waveforms.npy",
        table="results/{dataset}/clips/{block}/clips.parquet",
        bank="results/{dataset}/clips/{block}/bank.json",
        regions="results/{dataset}/clips/{block}/regions.tsv",
    log:
        "results/{dataset}/logs/simulate_clips.{block}.log",
    benchmark:
        "results/{dataset}/benchmarks/simulate_clips.{block}.tsv"
    wildcard_constraints:
        dataset=any_of(SIMULATED),
    conda:
        "../../envs/simulate.yaml"
    resources:
        mem_mb=3000,
        runtime=120,
    params:
        spec=section_of("clips"),
        seed=simulation_of("seed"),
        code=code_of("simulate_clips"),
    message:
        "clips of {wildcards.dataset} {wildcards.block}"
    script:
        "../scripts/simulate_clips.py"
