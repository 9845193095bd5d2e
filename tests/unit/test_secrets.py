"""Keys stay secret: planted, used and refused, and then looked for in all that was written."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from pathlib import Path
from urllib.parse import quote

import pytest
from command_stores import build, upload

SOURCE = Path(__file__).resolve().parents[2] / "src"
TOKEN, WRONG = "planted-session-token", "planted-wrong-secret"
# Every message of every library is told. One process runs all commands: it starts only once.
SCRIPT = """
import json, logging, sys
logging.basicConfig(level=logging.DEBUG, stream=sys.stderr)
from bidsmill import cli
codes = []
for arguments in json.loads(sys.argv[1]):
    try:
        codes.append(cli.main(arguments))
    except SystemExit as left:
        codes.append(left.code)
print("codes", json.dumps(codes))
"""


@pytest.fixture(scope="module")
def server(s3_server, tmp_path_factory):
    """Return the server, with a store in a bucket that needs a key."""
    root = tmp_path_factory.mktemp("secrets") / "store"
    build(root)
    client = s3_server.client()
    client.create_bucket(Bucket="secrets")
    upload(client, root, "secrets", "store/")
    return s3_server


def run(folder: Path, environment: dict[str, str], commands: list[list[str]]):
    """Run commands in a process of its own; return exit codes and all that was told."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    paths = {
        "HOME": str(folder / "home"),
        "BIDSMILL_CACHE": str(folder / "cache"),
        "TMPDIR": str(folder / "temporary"),
        "AWS_SHARED_CREDENTIALS_FILE": str(folder / "keys"),
        "AWS_CONFIG_FILE": str(folder / "config"),
        "AWS_EC2_METADATA_DISABLED": "true",
        "PYTHONPATH": str(SOURCE),
    }
    for name in ("home", "temporary"):
        (folder / name).mkdir(exist_ok=True)
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, json.dumps(commands)],
        cwd=folder,
        env={**clean, **paths, **environment},
        capture_output=True,
        check=False,
    )
    printed = done.stdout.decode()
    assert "codes" in printed, done.stderr.decode()[-3000:]
    codes = json.loads(printed.rpartition("codes ")[2])
    return codes, done.stdout + done.stderr


def forms(secret: str) -> list[bytes]:
    plain = secret.encode()
    return [plain, quote(secret, safe="").encode(), base64.b64encode(plain), plain.hex().encode()]


def assert_nowhere(folder: Path, told: bytes, *secrets: str) -> None:
    """Look for secrets in what was told, and in every file but the one that they were put into."""
    places = {"output": told}
    for path in folder.rglob("*"):
        if path.is_file() and path.name != "keys":
            places[str(path)] = path.read_bytes()
    assert len(places) > 1
    for secret in secrets:
        for form in forms(secret):
            found = [name for name, content in places.items() if form in content]
            assert not found, (form, _around(told, form))


def _around(told: bytes, form: bytes) -> bytes:
    place = max(told.find(form), 0)
    return told[max(0, place - 200) : place + 100]


def reading(endpoint: str, *more: str) -> list[list[str]]:
    """Return commands that read the store, and commands that fail."""
    store = ["s3://secrets/store", "--endpoint", endpoint, *more]
    return [
        ["ls", *store],
        ["info", *store, "faces", "--json"],
        ["pull", *store, "faces", "--split", "test"],
        ["query", *store, "--where", "rows > 1"],
        ["verify", *store, "other"],
        ["cache", *store],
        ["sql", *store, "faces"],
        ["gc", *store],
        ["audit", *store, "no-such"],
        ["info", *store, "no-such"],
        ["ls", "s3://secrets-none/store", *store[1:]],
    ]


def test_keys_of_the_environment_and_of_a_profile(server, tmp_path):
    keys = {"access": server.access_key, "secret": server.secret_key}
    text = "[planted]\naws_access_key_id = {access}\naws_secret_access_key = {secret}\n"
    (tmp_path / "keys").write_text(text.format(**keys))
    (tmp_path / "config").write_text("[profile planted]\nregion = us-east-1\n")
    planted = {
        "AWS_ACCESS_KEY_ID": server.access_key,
        "AWS_SECRET_ACCESS_KEY": server.secret_key,
    }
    fine = [0, 0, 0, 0, 0, 0, 0, 0, 2, 2, 2]
    by_name = reading(server.endpoint, "--profile", "planted")
    codes, told = run(tmp_path, {}, [*by_name[:3], *by_name[-2:]])
    assert codes == [0, 0, 0, 2, 2]
    assert_nowhere(tmp_path, told, server.secret_key)
    codes, told = run(tmp_path, planted, reading(server.endpoint))
    assert codes == fine and b"DEBUG" in told
    assert_nowhere(tmp_path, told, server.secret_key)


def test_keys_that_are_refused_and_addresses_with_keys(server, tmp_path):
    planted = {
        "AWS_ACCESS_KEY_ID": server.access_key,
        "AWS_SECRET_ACCESS_KEY": WRONG,
        "AWS_SESSION_TOKEN": TOKEN,
    }
    host = server.endpoint.removeprefix("http://")
    with_key = [
        ["ls", f"s3://{server.access_key}:{WRONG}@secrets/store"],
        ["verify", "s3://secrets/store", "--endpoint", f"http://user:{WRONG}@{host}"],
        ["pull", f"https://user:{WRONG}@{host}/secrets/store", "faces"],
    ]
    codes, told = run(tmp_path, planted, [*reading(server.endpoint), *with_key])
    assert set(codes) == {2}
    (tmp_path / "file").write_text("so that a file is looked at")
    assert_nowhere(tmp_path, told, WRONG, TOKEN)
