#!/bin/sh
# Converts and publishes one dataset of a fleet: the line of DATASETS whose number (from 0) the
# service gives to the container. Arguments are passed on to Snakemake. docs/scale.md tells more.
#
# FLEET      the config; its store is a bucket
# DATASETS   a file with the ids of its datasets, one in a line
# WORK       a disk for what is fetched and converted; each dataset has a folder of its own
# CORES      processes: containers often see more processors than they may use
# MEMORY_MB  memory for all jobs together
set -eu
project=$(cd "$(dirname "$0")/../.." && pwd)
fleet=${FLEET:-/fleet/fleet.yaml}
datasets=${DATASETS:-/fleet/datasets.txt}

# Of an indexed Job of Kubernetes, an array job of AWS Batch, a task group of Google Batch.
number=${JOB_COMPLETION_INDEX:-${AWS_BATCH_JOB_ARRAY_INDEX:-${BATCH_TASK_INDEX:-}}}
if [ -z "$number" ]; then
  echo "the service gives no number: start an indexed Job, an array job or a task group" >&2
  exit 2
fi
dataset=$(sed -n "$((number + 1))p" "$datasets")
if [ -z "$dataset" ]; then
  echo "$datasets has no line $((number + 1)): there are more containers than datasets" >&2
  exit 2
fi
if ! grep -Eq '^store: *"?s3://' "$fleet"; then
  echo "$fleet does not publish to a bucket (store: s3://...): results would go with the disk" >&2
  exit 2
fi

work=${WORK:-/scratch}/$dataset
mkdir -p "$work"
PATH="$project/.venv/bin:$PATH"
export PATH
run() {
  snakemake "$@" --snakefile "$project/Snakefile" --directory "$work" --configfile "$fleet" \
    --workflow-profile "$project/profiles/default" --cores "${CORES:-all}" \
    --resources "mem_mb=${MEMORY_MB:-8000}" download=1
}
# A container that was ended leaves its lock on a disk that is kept, and nobody else works there.
if [ -d "$work/.snakemake/locks" ]; then
  run --unlock
fi
run "results/$dataset/published.json" "$@"
