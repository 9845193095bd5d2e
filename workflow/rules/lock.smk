"""Which version of a dataset is used.

Input: the source that the config names, or the lock that is committed for it (config/locks/).
Output: lock.json (version, and size, checksum and address of each file) and, undeclared because
they are replaced only when their bytes differ, plan/{batch}.json, plan/dataset.json and
split-previous.json (the split that was adopted in config/splits/, or that of the latest
version in the store). News of a source are taken in by --forcerun lock, and by nothing else;
`bidsmill lock --update` shows them before.
"""


def adopted_split_of(wildcards):
    """Return the split that is kept with the config for a dataset, if there is one."""
    refuse_disks_of_their_own()
    path = Path(CONFIG["splits"]) / f"{wildcards.dataset}.tsv"
    return [str(path)] if path.is_file() else []


checkpoint lock:
    input:
        committed=committed_lock_of,
        adopted=adopted_split_of,
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
        spec=settings_of(*ORIGIN, "version", "include", "folders"),
        shared={key: CONFIG[key] for key in ("batches", "store")},
        code=code_of("lock"),
    message:
        "lock {wildcards.dataset}"
    script:
        "../scripts/lock.py"
