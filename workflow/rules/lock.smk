"""Which version of a dataset is used.

Input: the source that the config names. Output: lock.json (version, size and checksum of
each file) and, undeclared because they are replaced only when their bytes differ,
plan/{batch}.json and plan/dataset.json. News of a source are taken in by --forcerun lock.
"""


checkpoint lock:
    output:
        lock="results/{dataset}/lock.json",
    log:
        "results/{dataset}/logs/lock.log",
    benchmark:
        "results/{dataset}/benchmarks/lock.tsv"
    conda:
        "../../envs/sources.yaml"
    resources:
        mem_mb=1000,
        runtime=120,
    params:
        spec=settings_of("source", "path", "version", "include"),
        batches=CONFIG["batches"],
        code=code_of("lock"),
    message:
        "lock {wildcards.dataset}"
    script:
        "../scripts/lock.py"
