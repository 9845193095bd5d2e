"""One split over several datasets: people stay together, and each dataset is balanced.

Input: of every member, what `split` takes. Output: one table (dataset, group, split) and the
record of how good it is; `split` of each member uses and certifies its part. A member without
samples keeps the split of the others waiting: with a part of the people only it would be another.
"""


rule split_together:
    input:
        samples=of_every_member("samples.parquet"),
        duplicates=of_every_member("duplicates.tsv"),
        previous=previous_splits_of,
    output:
        table="results/together/{together}.tsv",
        record="results/together/{together}.json",
    log:
        "results/together/logs/{together}.log",
    benchmark:
        "results/together/benchmarks/{together}.tsv"
    conda:
        "../../envs/split.yaml"
    resources:
        mem_mb=2000,
        runtime=60,
    params:
        members=members_of,
        spec=settings_of_members("labels", "split"),
        people=people_of_members,
        code=code_of("split_together"),
    message:
        "split together {wildcards.together}"
    script:
        "../scripts/split_together.py"
