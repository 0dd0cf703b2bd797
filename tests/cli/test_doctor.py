"""`doctor`: facts and their fixes, on the mirror's machine and on a client's."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from dataset_mirror.cli.doctor import kinds
from dataset_mirror.rules import environment as names
from dataset_mirror.settings import load
from dataset_mirror.upkeep.checkup import check_folder
from tests import warm
from tests.conftest import StartMirror
from tests.origin import Origin, body
from tests.serving import HOST, URL, Mirror, environment
from tests.status.test_setup import evaluated

SET = (*names.PROXY, *names.EXCEPT, *names.TRUST, names.WGET)
SETTINGS: dict[str, Any] = {"presets": [], "origins": [{"url": URL, "paths": ["/sets/"]}]}


@pytest.fixture(scope="module")
def shared(start_shared_mirror: StartMirror) -> Mirror:
    """A mirror of `shared_origin`."""
    return start_shared_mirror()


def ran(home: Path, *arguments: str, known: Mapping[str, str] | None = None, **settings: object) -> subprocess.CompletedProcess[str]:
    """`dataset-mirror doctor` with these settings."""
    outside = {name: value for name, value in environment(home, settings).items() if name not in SET}
    return warm.run("doctor", *arguments, env=outside | dict(known or {}))


def examined(home: Path, *arguments: str, known: Mapping[str, str] | None = None, **settings: object) -> tuple[int, dict[str, Any]]:
    """Its exit status, and its findings by what they are about; of several about one thing a wrong one."""
    done = ran(home, "--json", *arguments, known=known, **settings)
    assert done.stdout, done.stderr
    told = json.loads(done.stdout)
    assert told["good"] == (done.returncode == 0)
    assert all(bool(finding["hint"]) != finding["good"] for finding in told["findings"])
    return done.returncode, {finding["what"]: finding for finding in sorted(told["findings"], key=lambda one: not one["good"])}


def wrong(found: Mapping[str, Any]) -> set[str]:
    """What findings are wrong about."""
    return {what for what, finding in found.items() if not finding["good"]}


def test_a_good_mirror(shared: Mirror, shared_origin: Origin, tmp_path: Path) -> None:
    """Beside a good mirror all is good, which ends with 0; each line says what it is about."""
    shared.get("/ca.pem")
    done = ran(tmp_path, data=str(shared.data), upstreams={HOST: [shared_origin.url]}, **SETTINGS)
    lines = done.stdout.splitlines()
    about = ["data folder", "permissions", "file system", "space", "tree", "authority", "key", "hosts", "server", "upstream", "clock"]
    assert [line[7:19].strip() for line in lines[:-1] if line[7] != " "] == about
    assert next(line for line in lines if "WRONG" in line).split()[1] == "hosts"  # the mirror has the preset's, too
    status, found = examined(tmp_path, data=str(shared.data), **SETTINGS | {"presets": ["keras", "huggingface"]}, offline=True)
    assert (status, wrong(found)) == (0, set())
    assert f"answers at {shared.url}" in found["server"]["fact"]


def test_a_folder_that_is_none(tmp_path: Path) -> None:
    """A folder that is not there, or is no mirror's, is wrong; nothing is made there."""
    for data in (tmp_path / "none", tmp_path):
        status, found = examined(tmp_path, data=str(data), offline=True, port=0)
        assert status == 1
        assert wrong(found) == {"data folder"}
    assert not (tmp_path / "none").exists()


def test_what_is_wrong(start_mirror: StartMirror, origin: Origin, tmp_path: Path) -> None:
    """Each thing that is wrong is found: a disk that is full, a folder and a key open to all, names that the tree lacks, upstreams."""
    mirror = start_mirror()
    for path in ("/sets/a", "/sets/a/b"):
        origin.add(path, body(100))
        assert mirror.archive(path).status == 200
    mirror.get("/ca.pem")
    mirror.stop()
    mirror.data.chmod(0o777)
    (mirror.data / "ca" / "key.pem").chmod(0o644)
    settings = SETTINGS | {"data": str(mirror.data), "min_free": "1000PB", "max_size": 10}
    status, found = examined(tmp_path, port=0, upstreams={HOST: ["http://127.0.0.1:9"]}, **settings)
    assert status == 1
    assert wrong(found) == {"permissions", "space", "limit", "tree", "key", "hosts", "upstream"}
    assert "such as https://data.example.org/sets/a" in found["tree"]["fact"]
    assert "chmod 600" in found["key"]["hint"]


@pytest.fixture(scope="module")
def kept(start_shared_mirror: StartMirror, shared_origin: Origin) -> Path:
    """The data folder of a mirror that has run."""
    mirror = start_shared_mirror()
    shared_origin.add("/sets/kept.bin", body(100))
    assert mirror.archive("/sets/kept.bin").status == 200
    mirror.get("/ca.pem")
    mirror.stop()
    return mirror.data


WIDE = {"": 0o755, "blobs": 0o777, "blobs/sha256": 0o770, "archives.ndjson": 0o644, "index.db": 0o660, "ca/ca.pem": 0o666}


def test_permissions_that_are_too_wide(kept: Path) -> None:
    """Whatever in the data folder is open to others, or to its group for writing, is found, with a command that mends it."""
    configuration = load(None, {"data": kept})
    for name, mode in WIDE.items():
        (kept / name).chmod(mode)
        (found,) = (one for one in check_folder(configuration) if not one.is_good)
        assert (found.what, str(kept / name) in found.fact) == ("permissions", True)
        subprocess.run(["sh", "-ec", found.hint.removeprefix("Run: ")], check=True)
        assert all(one.is_good for one in check_folder(configuration))
    for secret in (kept / "api.key", kept / "ca" / "key.pem"):
        assert not secret.stat().st_mode & 0o077
    (kept / "api.key").chmod(0o640)
    assert [one.what for one in check_folder(configuration) if not one.is_good] == ["api.key"]


def test_a_clock_that_is_wrong(shared: Mirror, shared_origin: Origin, tmp_path: Path) -> None:
    """A clock that differs from the upstream's is wrong, with how far it is off."""
    shared_origin.add("/", b"", headers={"Date": "Mon, 01 Jan 2001 00:00:00 GMT"})
    _, found = examined(tmp_path, data=str(shared.data), upstreams={HOST: [shared_origin.url]}, **SETTINGS)
    assert "ahead" in found["clock"]["fact"]


def test_a_port_in_use(shared: Mirror, tmp_path: Path) -> None:
    """A port that another program has is wrong for a mirror that does not run."""
    _, found = examined(tmp_path, data=str(tmp_path / "none"), port=shared.port, offline=True)
    assert "in use" in found["server"]["fact"]


def test_a_new_authority(start_mirror: StartMirror, tmp_path: Path) -> None:
    """--new-ca asks first, makes another key beside a running mirror, and says whom clients have to trust now."""
    mirror = start_mirror()
    before, key = mirror.get("/ca.pem").body, (mirror.data / "ca" / "key.pem").read_bytes()
    assert ran(tmp_path, "--new-ca", data=str(mirror.data)).returncode == 1
    assert mirror.get("/ca.pem").body == before
    done = ran(tmp_path, "--new-ca", "--yes", data=str(mirror.data))
    assert done.returncode == 0
    assert (mirror.data / "ca" / "key.pem").read_bytes() != key
    assert mirror.get("/ca.pem").body != before
    assert done.stdout.split("SHA-256 ")[1].split()[0] in mirror.get("/setup.sh").body.decode()
    assert ran(tmp_path, "--new-ca", "--yes", data=str(tmp_path / "none")).returncode == 1
    assert not (tmp_path / "none").exists()


def test_a_client_that_is_set_up(shared: Mirror, shared_origin: Origin, tmp_path: Path) -> None:
    """In a shell that /setup.sh has led all is good: the smallest archive arrives through the mirror, with its digest."""
    shared_origin.add("/sets/small.bin", body(1_000))
    assert shared.archive("/sets/small.bin").status == 200
    known, _ = evaluated(shared.url, tmp_path)
    status, found = examined(tmp_path, "--client", "--mirror", shared.url, known=known)
    assert (status, wrong(found)) == (0, set()), found
    assert "1,000 bytes with the right digest" in found["download"]["fact"]
    done = ran(tmp_path, "--client", "--data", str(shared.data), known=known)
    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, "All 5 checks passed.")


def test_kinds_of_clients(shared: Mirror, shared_origin: Origin, tmp_path: Path) -> None:
    """Each kind of client that is installed is tried: in a shell that is set up it gets through, in another one it is told what helps."""
    shared_origin.add("/sets/small.bin", body(1_000))
    assert shared.archive("/sets/small.bin").status == 200
    known, _ = evaluated(shared.url, tmp_path)
    said = ran(tmp_path, "--client", "--mirror", shared.url, known=known).stdout
    lines = {line[7:31].strip(): line[33:] for line in said.splitlines() if line.startswith("       ") and line[7] != " "}
    assert [lines[kind] for kind in ("curl", "python urllib")] == ["gets it from the mirror"] * 2, said
    assert lines["python pip"] == "gets through", said
    plain = ran(tmp_path, "--client", "--mirror", shared.url).stdout
    assert not re.search("python pip +gets", plain), plain
    assert f'→ Run: eval "$(curl -fsS {shared.url}/setup.sh)"' in plain


def test_a_client_of_an_empty_mirror(start_mirror: StartMirror, origin: Origin, tmp_path: Path) -> None:
    """While nothing is stored the head of an archive of the catalog has to arrive; nothing is fetched for it."""
    mirror = start_mirror()
    first = json.loads(mirror.get("/status/catalog").body)["datasets"][0]["archives"][0]["url"]
    origin.add("/" + first.split("/", 3)[3], b"x")
    known, _ = evaluated(mirror.url, tmp_path)
    status, found = examined(tmp_path, "--client", "--mirror", mirror.url, known=known)
    assert status == 0, found
    assert "the head of" in found["download"]["fact"]
    assert mirror.blobs == []


def test_a_client_that_is_not_set_up(shared: Mirror, tmp_path: Path) -> None:
    """Without its environment a client lacks proxy, exception and trust, and the hint is the line that sets them."""
    status, found = examined(tmp_path, "--client", "--mirror", shared.url)
    assert status == 1
    assert wrong(found) == {"proxy", "exceptions", "trust", "download"}
    assert found["proxy"]["hint"] == f'Run: eval "$(curl -fsS {shared.url}/setup.sh)"'


@pytest.mark.parametrize(
    ("name", "value", "what"),
    [
        ("https_proxy", "http://other.lab:3128", "proxy"),
        ("NO_PROXY", ".googleapis.com", "exceptions"),
        ("CURL_CA_BUNDLE", os.devnull, "trust"),
    ],
)
def test_a_client_with_one_thing_wrong(shared: Mirror, tmp_path: Path, name: str, value: str, what: str) -> None:
    """One variable that somebody has set to something else is found."""
    known, _ = evaluated(shared.url, tmp_path)
    changed = {name: value, name.lower(): value} if name == "NO_PROXY" else {name: value}
    status, found = examined(tmp_path, "--client", "--mirror", shared.url, known=known | changed)
    assert status == 1
    assert what in wrong(found)


@pytest.mark.parametrize("known", [{}, {"SSL_CERT_FILE": ""}, {"SSL_CERT_FILE": "/"}])
def test_kinds_of_clients_without_a_bundle(known: dict[str, str]) -> None:
    """Each kind can be tried in a shell that has no bundle, too."""
    commands = kinds._commands(f"{URL}/sets/a.zip", known)
    assert not any("--conf-path" in word for command in commands.values() for word in command)
    assert "python urllib" in commands


def test_usage(tmp_path: Path) -> None:
    """A mirror that does not answer is wrong; --mirror without --client is wrong usage."""
    status, found = examined(tmp_path, "--client", "--mirror", "http://127.0.0.1:9")
    assert (status, wrong(found)) == (1, {"mirror"})
    assert ran(tmp_path, "--mirror", "http://127.0.0.1:9").returncode == 2
