"""The conda environments: pinned as the lock, complete for their rules, and used."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
import yaml

from bidsmill.workflow.code_hash import _read

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "src"
# Import name -> name of the distribution, where they differ.
DISTRIBUTIONS = {
    "hed": "hedtools",
    # hedtools brings them.
    "inflect": "hedtools",
    "typeguard": "hedtools",
    "nemar": "nemar-py",
    "botocore": "boto3",
    "urllib3": "boto3",
    "yaml": "pyyaml",
    "mne": "mne-base",
    "sklearn": "scikit-learn",
    "PIL": "pillow",
}
STANDARD_LIBRARY = set(__import__("sys").stdlib_module_names)
# Imported in functions that a rule's environment never reaches, or does without: isal only makes
# the checksums of `convert` faster; only where nodes are made is a stream read as a dask array.
OPTIONAL = {"dask", "isal", "torch", "jsonschema", "yaml", "mne_bids", "snakemake"}
# Name on conda-forge -> name in the lock, where they differ.
IN_THE_LOCK = {"mne-base": "mne", "python-isal": "isal", "dask-core": "dask"}


def environments() -> dict[str, dict]:
    return {p.stem: yaml.safe_load(p.read_text()) for p in (ROOT / "envs").glob("*.yaml")}


def pins(environment: dict) -> dict[str, str]:
    found = {}
    for entry in environment["dependencies"]:
        if isinstance(entry, dict):
            for line in entry["pip"]:
                name, version = line.split("==")
                found[name] = version
        elif entry != "pip":
            name, version = entry.split(" =")
            found[name] = version
    return found


def rules() -> dict[str, str]:
    """Return the environment of each rule's script."""
    found = {}
    for path in (ROOT / "workflow" / "rules").glob("*.smk"):
        for block in re.split(r"\n(?:rule|checkpoint) ", path.read_text())[1:]:
            environment = re.search(r'"\.\./\.\./envs/(\w+)\.yaml"', block).group(1)
            found[re.search(r'"\.\./scripts/(\w+)\.py"', block).group(1)] = environment
    return found


def third_party(script: str) -> set[str]:
    """Return the distributions that a script reaches through its imports of the package."""
    seen, names = set(), set()
    waiting = [ROOT / "workflow" / "scripts" / f"{script}.py"]
    while waiting:
        path = waiting.pop().resolve()
        if path in seen:
            continue
        seen.add(path)
        waiting.extend(_read(path, SOURCE.resolve())[1])
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                names |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level:
                names.add(node.module.split(".")[0])
    return names - STANDARD_LIBRARY - OPTIONAL - {"bidsmill", "__future__"}


def test_pins_are_those_of_the_lock():
    lock = dict(
        re.findall(
            r"^([A-Za-z0-9._-]+)==([^ ;\\]+)", (ROOT / "requirements.lock").read_text(), re.M
        )
    )
    for name, environment in environments().items():
        assert environment["channels"] == ["conda-forge", "nodefaults"], name
        own = pins(environment)
        assert own.pop("python") == "3.11"
        for package, version in own.items():
            assert lock[IN_THE_LOCK.get(package, package)] == version, (name, package)


def test_every_environment_is_used():
    assert set(rules().values()) == set(environments())


@pytest.mark.parametrize("script", sorted(rules()))
def test_the_imports_of_a_rule_are_covered(script):
    own = set(pins(environments()[rules()[script]]))
    needed = {DISTRIBUTIONS.get(name, name) for name in third_party(script)}
    needed |= {"dask-core"} if script.startswith("stream") else set()
    assert needed <= own, f"{script}: envs/{rules()[script]}.yaml lacks {sorted(needed - own)}"


def test_the_lock_names_no_address_and_has_hashes():
    text = (ROOT / "requirements.lock").read_text()
    assert "://" not in text and "--index" not in text and "file:" not in text
    for entry in re.split(r"\n(?=\S)", text.strip()):
        assert "--hash=sha256:" in entry, entry[:80]
