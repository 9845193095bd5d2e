"""A network of neural masses, with each region of a block making spikes in turn.

Input: the anatomy, plan/{block}.json. Output: activity/{block}.npy (runs, times, regions) and what was recorded; both
are deleted when the clips are cut (--notemp keeps them).
"""


rule simulate_activity:
    input:
        anatomy="results/{dataset}/anatomy/anatomy.npz",
        plan=block_plan_of,
        named=named_files("activity", "connectome"),
    output:
        activity=temp("results/{dataset}/activity/{block}.npy"),
        facts=temp("results/{dataset}/activity/{block}.json"),
    log:
        "results/{dataset}/logs/simulate_activity.{block}.log",
    benchmark:
        "results/{dataset}/benchmarks/simulate_activity.{block}.tsv"
    wildcard_constraints:
        dataset=any_of(SIMULATED),
    conda:
        "../../envs/simulate.yaml"
    resources:
        mem_mb=4000,
        runtime=480,
    params:
        spec=section_of("activity", "regions"),
        seed=simulation_of("seed"),
        code=code_of("simulate_activity"),
    message:
        "activity of {wildcards.dataset} {wildcards.block}"
    script:
        "../scripts/simulate_activity.py"
