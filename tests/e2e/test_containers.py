"""One container treats one dataset: its script, and the jobs that start it elsewhere.

No such service is reached: the job of AWS Batch is compared with the service's own model, those of
Kubernetes and Google Batch with what the script reads (docs/scale.md tells what else was tried).
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

FOLDER = "profiles/containers"
NUMBERS = ("JOB_COMPLETION_INDEX", "AWS_BATCH_JOB_ARRAY_INDEX", "BATCH_TASK_INDEX")
BUCKET = "fleet"
DATASET = {
    "source": "sample",
    "include": {"subject": ["02"]},
    "windows": {"kind": "fixed", "length": 2.0},
    "split": {"fallback": "time"},
}


def settings_of(name: str, root: Path) -> dict[str, str]:
    """Return the environment that the jobs of a service give to their containers."""
    text = (root / FOLDER / name).read_text()
    if name == "kubernetes.yaml":
        container = yaml.safe_load(text)["spec"]["template"]["spec"]["containers"][0]
        return {entry["name"]: entry["value"] for entry in container["env"]}
    if name == "aws-batch.json":
        container = json.loads(text)["register_job_definition"]["containerProperties"]
        return {entry["name"]: entry["value"] for entry in container["environment"]}
    return json.loads(text)["taskGroups"][0]["taskSpec"]["environment"]["variables"]


def image(folder: Path, root: Path) -> Path:
    """Return the project as it lies in an image, as yet without its environment."""
    for name in ("workflow", "src", "envs", "config", "profiles"):
        shutil.copytree(root / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(root / "Snakefile", folder)
    return folder


@pytest.fixture(scope="module")
def real(root, tmp_path_factory) -> Path:
    folder = image(tmp_path_factory.mktemp("image"), root)
    (folder / ".venv").symlink_to(sys.prefix)
    return folder


@pytest.fixture(scope="module")
def telling(root, tmp_path_factory) -> Path:
    """Return an image in which the command `snakemake` only says how it was called."""
    folder = image(tmp_path_factory.mktemp("image"), root)
    (folder / ".venv" / "bin").mkdir(parents=True)
    command = folder / ".venv" / "bin" / "snakemake"
    command.write_text('#!/bin/sh\necho "$@"\n')
    command.chmod(0o755)
    return folder


@pytest.fixture
def container(tmp_path):
    """Return a function that runs the script with the variables of a service."""
    config = {"store": f"s3://{BUCKET}/store", "datasets": {"one": DATASET, "two": DATASET}}
    (tmp_path / "fleet.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
    (tmp_path / "datasets.txt").write_text("one\ntwo\n")

    def run(image: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess:
        known = {name: value for name, value in os.environ.items() if name not in NUMBERS}
        places = {"FLEET": "fleet.yaml", "DATASETS": "datasets.txt", "WORK": "scratch"}
        places = {name: str(tmp_path / place) for name, place in places.items()}
        return subprocess.run(
            [str(image / FOLDER / "one_dataset.sh"), *arguments],
            env={**known, **places, "CORES": "2", **variables},
            capture_output=True,
            text=True,
            check=False,
        )

    return run


@pytest.mark.parametrize("number", NUMBERS)
def test_every_service_names_its_dataset(container, telling, number, tmp_path):
    done = container(telling, "--quiet", MEMORY_MB="500", **{number: "1"})
    assert done.returncode == 0, done.stderr
    assert [path.name for path in (tmp_path / "scratch").iterdir()] == ["two"]
    (called,) = done.stdout.splitlines()
    assert called.startswith("results/two/published.json --quiet --snakefile")
    assert called.endswith("mem_mb=500 download=1")
    assert f"--directory {tmp_path}/scratch/two --configfile {tmp_path}/fleet.yaml" in called


@pytest.mark.parametrize(
    ("variables", "message"),
    [({}, "no number"), ({"JOB_COMPLETION_INDEX": "2"}, "has no line 3")],
)
def test_a_container_without_a_dataset_refuses(container, telling, variables, message, tmp_path):
    done = container(telling, **variables)
    assert done.returncode == 2 and message in done.stderr
    assert not (tmp_path / "scratch").exists()


def test_a_store_on_the_disk_of_the_container_is_refused(container, telling, tmp_path):
    fleet = tmp_path / "fleet.yaml"
    fleet.write_text(fleet.read_text().replace(f"s3://{BUCKET}/store", "results/store"))
    done = container(telling, JOB_COMPLETION_INDEX="0")
    assert done.returncode == 2 and "does not publish to a bucket" in done.stderr


def test_the_graph_is_that_of_one_dataset_also_after_a_kill(container, real, tmp_path):
    """The disk holds the lock of a container that was ended; Snakemake would wait for a person."""
    locks = tmp_path / "scratch" / "two" / ".snakemake" / "locks"
    locks.mkdir(parents=True)
    (locks / "0.output.lock").write_text("results/two/lock.json\n")
    done = container(real, "--dry-run", BATCH_TASK_INDEX="1")
    assert done.returncode == 0, done.stderr
    printed = done.stdout + done.stderr
    assert "publish two" in printed and "publish one" not in printed
    assert not list(locks.glob("*"))


def test_the_job_of_aws_batch_is_what_the_service_takes(root):
    import boto3
    from botocore.validate import validate_parameters

    requests = json.loads((root / FOLDER / "aws-batch.json").read_text())
    model = boto3.client("batch", region_name="us-east-1").meta.service_model
    assert set(requests) == {"register_job_definition", "submit_job"}
    for name, parameters in requests.items():
        operation = model.operation_model("".join(part.title() for part in name.split("_")))
        validate_parameters(parameters, operation.input_shape)


@pytest.mark.parametrize("name", ["kubernetes.yaml", "aws-batch.json", "google-batch.json"])
def test_jobs_set_what_the_script_reads(root, name):
    script = (root / FOLDER / "one_dataset.sh").read_text()
    settings = settings_of(name, root)
    assert {"CORES", "MEMORY_MB"} == {key for key in settings if f"${{{key}:-" in script}
    assert set(settings) == {"CORES", "MEMORY_MB"}


@pytest.mark.long
def test_a_container_publishes_its_dataset_to_the_bucket(container, real, s3_server):
    s3_server.client().create_bucket(Bucket=BUCKET)
    access = {
        "AWS_ENDPOINT_URL_S3": s3_server.endpoint,
        "AWS_ACCESS_KEY_ID": s3_server.access_key,
        "AWS_SECRET_ACCESS_KEY": s3_server.secret_key,
    }
    done = container(real, JOB_COMPLETION_INDEX="1", **access)
    assert done.returncode == 0, done.stderr[-3000:]
    listed = s3_server.client().list_objects_v2(Bucket=BUCKET)["Contents"]
    published = {entry["Key"].split("/")[2] for entry in listed if "/datasets/" in entry["Key"]}
    assert published == {"two"}
