"""Every simulated sample as a `.mat` file, for networks that read these.

Input: the tables and matrix files. Output: mat/extraction_metadata.mat, and undeclared
mat/sample_{index}.mat.
"""


rule export_mat:
    input:
        tables="results/{dataset}/samples.parquet",
        sources="results/{dataset}/sources.parquet",
        converted=conversions_of,
    output:
        metadata="results/{dataset}/mat/extraction_metadata.mat",
    log:
        "results/{dataset}/logs/export_mat.log",
    benchmark:
        "results/{dataset}/benchmarks/export_mat.tsv"
    wildcard_constraints:
        dataset=any_of(WITH_NOISE),
    conda:
        "../../envs/simulate.yaml"
    resources:
        mem_mb=2000,
        runtime=480,
    params:
        spec=simulation_of("mat", "on_bad_sample"),
        code=code_of("export_mat"),
    message:
        "export {wildcards.dataset} as .mat files"
    script:
        "../scripts/export_mat.py"
