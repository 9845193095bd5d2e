"""Settings that the schema allows one by one, and that cannot stand together."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from bidsmill.workflow.label_problems import label_problems
from bidsmill.workflow.stream_problems import stream_problems

Settings = dict[str, Any]

# What all datasets that are split at once have in common.
SHARED_BY_SPLIT = ("test", "validation", "group", "seed")
# What belongs to some sources only.
ORIGIN_KEYS = {
    "path": {"local"},
    "id": {"openneuro", "nemar"},
    "url": {"s3", "https"},
    "manifest": {"https"},
    "endpoint": {"openneuro", "nemar", "s3"},
    "profile": {"s3"},
}


def contradictions(settings: Settings) -> list[str]:
    """Return what is wrong with the settings of one dataset, beyond what the schema can say.

    Parameters
    ----------
    settings : dict
        Of one dataset, with every default filled in.

    Returns
    -------
    list of str
        Each begins with the key.
    """
    parts = (_source, _windows, _labels, _channels, _split, _filter, stream_problems)
    return [text for part in parts for text in part(settings)]


def address_problems(key: str, address: str) -> Iterator[str]:
    """Say why an address is no folder of this machine."""
    if "://" in address:
        yield f"{key}: found {address!r}, expected a folder"
    if address.startswith("~"):
        yield f"{key}: found {address!r}; write the folder out, `~` is not replaced"


def store_problems(config: dict[str, Any]) -> Iterator[str]:
    """Say what cannot be in where and how results are published, and whose licence is allowed."""
    store, publish = config.get("store", ""), config.get("publish") or {}
    if not store.startswith("s3://"):
        for problem in address_problems("store", store):
            yield problem.replace("expected a folder", "expected a folder or s3://bucket/prefix")
    elif not re.fullmatch(r"s3://[A-Za-z0-9][A-Za-z0-9._-]*(/.*)?", store):
        yield "store: expected s3://bucket/prefix, without user or password"
    if _holds_secret(publish.get("endpoint") or ""):
        yield (
            "publish.endpoint: holds a user, a password or a query; secrets belong into the"
            " environment"
        )
    if publish.get("kms_key") and publish.get("encryption") != "aws:kms":
        yield "publish.kms_key: has no meaning without `encryption: aws:kms`"
    every = [*config["datasets"], *config.get("simulation", {})]
    for name in config.get("allow_license", []):
        if name not in every:
            known = ", ".join(every)
            yield f"allow_license: found {name!r}, expected a dataset of: {known}"


def _holds_secret(address: str) -> bool:
    parts = urlsplit(address)
    return bool(parts.username or parts.password or parts.query)


def unknown_datasets(config: dict[str, Any]) -> Iterator[str]:
    """Say which people the config declares in datasets that it does not have."""
    known = list(config["datasets"])
    for names in config.get("same_subject", []):
        for name in names:
            if name.split("/")[0] not in known:
                yield f"same_subject: found {name!r}, expected a dataset of: {', '.join(known)}"


def together_problems(
    together: dict[str, list[str]], datasets: dict[str, Settings]
) -> Iterator[str]:
    """Say which datasets cannot be split at once.

    Parameters
    ----------
    together : dict
        Name -> datasets.
    datasets : dict
        Dataset -> its settings, with every default filled in.
    """
    if together and "together" in datasets:
        yield "datasets: the name 'together' is taken where datasets are split at once"
    seen: dict[str, str] = {}
    for name, members in together.items():
        for member in members:
            if member not in datasets:
                listed = ", ".join(datasets)
                yield f"together.{name}: found {member!r}, expected a dataset of: {listed}"
            elif member in seen:
                where = "twice" if seen[member] == name else f"and in together.{seen[member]}"
                yield f"together.{name}: the dataset {member!r} stands here {where}"
            seen.setdefault(member, name)
        known = {member: datasets[member]["split"] for member in members if member in datasets}
        for key in SHARED_BY_SPLIT:
            values = {member: split[key] for member, split in known.items()}
            if len(set(values.values())) > 1:
                listed = ", ".join(f"{member}: {value}" for member, value in values.items())
                yield f"together.{name}: split.{key} differs ({listed}), expected one value for all"
        for member, split in known.items():
            if split["group"] != "subject":
                yield f"datasets.{member}.split.group: a split over several datasets is by subject"
            for key in ("fixed", "folds"):
                if split[key] is not None:
                    yield f"datasets.{member}.split.{key}: has no meaning with together.{name}"


def _source(settings: Settings) -> Iterator[str]:
    source = settings["source"]
    for key, sources in ORIGIN_KEYS.items():
        if key in settings and source not in sources:
            yield f"{key}: has no meaning with `source: {source}`"
    yield from address_problems("path", settings.get("path", ""))
    if _holds_secret(settings.get("endpoint", "")):
        yield "endpoint: holds a user, a password or a query; secrets belong into the environment"
    scheme = {"s3": "s3://", "https": "https://"}.get(source)
    if scheme and not settings["url"].startswith(scheme):
        yield f"url: found {settings['url']!r}, expected an address that begins with {scheme}"


def _windows(settings: Settings) -> Iterator[str]:
    windows = settings["windows"]
    if windows is None:
        yield "windows: absent; name a kind: `events` or `fixed`"
    elif windows["kind"] == "fixed":
        if windows["overlap"] >= windows["length"]:
            yield (
                f"windows.overlap: found {windows['overlap']}, expected less than the length"
                f" ({windows['length']} s)"
            )
    else:
        low, high, base = windows["tmin"], windows["tmax"], windows["baseline"]
        if low >= high:
            yield f"windows.tmax: found {high}, expected more than tmin ({low} s)"
        if base and not low <= base[0] < base[1] <= high:
            yield (
                f"windows.baseline: found {base}, expected [from, to] with"
                f" tmin <= from < to <= tmax ({low} to {high} s)"
            )


def _labels(settings: Settings) -> Iterator[str]:
    seen: dict[str, str] = {}
    for name, label in settings["labels"].items():
        other = seen.setdefault(name.casefold(), name)
        if other != name:
            yield f"labels.{name}: differs from {other!r} in case only, which some readers ignore"
        yield from label_problems(name, label)


def _channels(settings: Settings) -> Iterator[str]:
    channels = settings["channels"]
    if channels["policy"] == "list" and not channels["names"]:
        yield "channels.names: empty, expected names for `policy: list`"
    if channels["policy"] == "native" and channels["names"]:
        yield "channels.names: has no meaning with `policy: native`; did you mean `policy: list`?"
    if channels["policy"] == "montage" and channels["montage"] is None:
        yield "channels.montage: absent, expected a standard montage for `policy: montage`"
    if channels["policy"] != "montage" and channels["montage"] is not None:
        yield (
            f"channels.montage: has no meaning with `policy: {channels['policy']}`;"
            " did you mean `policy: montage`?"
        )
    if channels["policy"] == "montage" and channels["types"] not in (["data"], ["eeg"]):
        yield "channels.types: has no meaning with `policy: montage`, which gives electrodes"


def _split(settings: Settings) -> Iterator[str]:
    split = settings["split"]
    if split["test"] + split["validation"] >= 1:
        yield "split: test and validation leave nothing for training"
    if split["fixed"] is not None:
        for key in ("move", "release", "validation"):
            if split[key]:
                yield f"split.{key}: has no meaning with `fixed`, which says where everybody is"
    for name, side in split["move"].items():
        if name in split["release"]:
            yield f"split.release: {name!r} stands in `move`, too"
        if side == "validation" and not split["validation"]:
            yield f"split.move: puts {name!r} on validation, which has no share"
    names = split["stratify"] if isinstance(split["stratify"], list) else []
    for name in map(str, names):
        if name not in settings["labels"] and not name.startswith("participant_"):
            known = ", ".join(settings["labels"]) or "none"
            yield (
                f"split.stratify: found {name!r}, expected a label (there are: {known})"
                " or a participant_* column"
            )


def _filter(settings: Settings) -> Iterator[str]:
    band = settings["filter"] or {}
    if band.get("low") and band.get("high") and band["low"] >= band["high"]:
        yield f"filter.high: found {band['high']}, expected more than low"
