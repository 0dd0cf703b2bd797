"""Secrets in URLs: they go to the origin with the request, tell archives apart, and are nowhere to be read afterwards."""

from __future__ import annotations

import hashlib
import json
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from tests import warm
from tests.imitations.server import Asked, Said, Server
from tests.serving import HOST, URL, Mirror, environment
from tests.upkeep.test_notify import Hook

SECRET = "S3cretValue0123456789abcdefABCDEF"
NAMES = ["token", "access_token", "key", "api_key", "sig", "X-Amz-Signature", "X-Goog-Signature", "X-Amz-Security-Token", "password"]
KNOWN = f"hf_{SECRET}"
"""A token by its form, whatever the name of its field."""
OTHER = "An0therValue0123456789abcdefABCDE"


def answer(asked: Asked) -> Said:
    """An origin that sends other bytes for other queries, refuses some, and repeats in its refusals how it was asked."""
    if "refused" in asked.path:
        return Said(403, {"X-Error-Message": f"no: {asked.target}"}, f"SignatureProvided: {asked.target}".encode())
    if "broken" in asked.path:
        return Said(200, {"Content-Type": "text/html"}, f"<!doctype html><html>{asked.target}</html>".encode())
    if "away" in asked.path:
        return Said(302, {"Location": f"https://elsewhere.example.org/x?token={SECRET}"})
    fields = {"Content-Type": "application/octet-stream", "Link": f'<{URL}{asked.target}&page=2>; rel="next"'}
    return Said(200, fields, hashlib.sha256(asked.target.encode()).digest() * 100)


def content(target: str) -> bytes:
    """What it sends for a path and query."""
    return hashlib.sha256(target.encode()).digest() * 100


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with Server(answer) as running:
        yield running


@pytest.fixture(scope="module")
def hook() -> Iterator[Hook]:
    hook = Hook()
    yield hook
    hook.close()


def settings(server: Server, **more: Any) -> dict[str, Any]:
    rules = [{"match": "/sets/plain/**", "redirect_fields": ["Link"]}]
    origins = [{"url": URL, "paths": ["/sets/"], "rules": rules, "freshness": 0}]
    return {"presets": ["keras"], "origins": origins, "upstreams": {HOST: [server.url]}, "grace": 1, **more}


def mirroring(server: Server, data: Path, **more: Any) -> Mirror:
    return Mirror(data, **settings(server, **more))


def run(mirror: Mirror, *arguments: str) -> subprocess.CompletedProcess[str]:
    known = environment(mirror.data.parent, {"data": str(mirror.data)} | mirror._settings)
    return warm.run(*arguments, cwd=mirror.data.parent, env=known)


def everything(mirror: Mirror) -> str:
    """All that can be read of a mirror: its pages, its API, its commands, its logs, and every byte of its data folder."""
    pages = ["/", "/status", "/status/archives", "/status/wanted", "/status/fills", "/status/catalog", "/metrics"]
    pages.append(f"/status/explain?url={quote(f'{URL}/sets/a.bin', safe='')}")
    said = [mirror.get(page).body.decode() for page in pages]
    said += [mirror.get(f"/api/{page}", fields=mirror.key).body.decode() for page in ("log", "clients")]
    bundle, wanted = mirror.data.parent / "b.tar", mirror.data.parent / "wanted.txt"
    commands = [["ls", "-l"], ["wanted", "--export", str(wanted)], ["log"], ["du"], ["export", str(bundle), "--all"], ["status"], ["pin"]]
    said += [done.stdout + done.stderr for done in (run(mirror, *command) for command in commands)]
    files = [bundle, wanted, *(file for file in mirror.data.rglob("*") if file.is_file())]
    return "\n".join([*said, mirror.log, *(file.read_bytes().decode("latin-1") for file in files), *map(str, mirror.data.rglob("*"))])


def test_nowhere(server: Server, hook: Hook, tmp_path: Path) -> None:
    """Whatever came of a request, no log, list, page, command, bundle, notification and file has the secret of its URL."""
    mirror = mirroring(server, tmp_path / "data", notify=hook.url)
    with closing(mirror.start("--access-log", "--log-level", "debug")):
        for name in NAMES:
            target = f"/sets/a.bin?{name}={SECRET}&x=1"
            assert mirror.archive(target).body == content(target)
        assert mirror.archive(f"/sets/plain/a.bin?x={KNOWN}").status == 200
        for path in ("refused", "broken.npz", "away"):
            for told in ("*/*", "text/html"):
                answered = mirror.get(f"/{HOST}/sets/{path}?token={SECRET}", fields={"Accept": told})
                assert answered.status >= 400
                assert SECRET not in answered.body.decode() + str(answered.fields)
        unlisted = [f"/{HOST}/other/x?token={SECRET}", f"/nobody.example.org/x?key={SECRET}", f"/https://u:{SECRET}@{HOST}/sets/a.bin"]
        for path in [*unlisted, f"/{HOST}/sets/%zz?token={SECRET}", f"/none?token={SECRET}"]:
            refused = mirror.get(path)
            assert refused.status >= 400
            assert SECRET not in refused.body.decode()
        assert run(mirror, "pin", f"{URL}/sets/pinned.bin?token={SECRET}").returncode == 0
        assert run(mirror, "fetch", f"{URL}/sets/fetched.bin?token={SECRET}").returncode == 0
        assert run(mirror, "check", "--want", f"{URL}/sets/wanted.bin?token={SECRET}").returncode == 1
        mirror.restart("--access-log", "--log-format", "json", "--offline")
        assert mirror.archive(f"/sets/dead.bin?token={SECRET}").status == 504
        assert mirror.get(f"/nobody.example.org/sets/x.bin?key={SECRET}").status == 403
        found = everything(mirror)
    assert SECRET not in found
    assert SECRET not in json.dumps(hook.told)
    assert "/sets/dead.bin?token=~" in found


def test_they_tell_archives_apart(server: Server, tmp_path: Path) -> None:
    """A URL with its secret is one archive, over restarts, offline and in a bundle; with another secret it is another one."""
    first, second = f"/sets/b.bin?token={SECRET}", f"/sets/b.bin?token={OTHER}"
    with mirroring(server, tmp_path / "data") as mirror:
        assert [mirror.archive(target).body for target in (first, second)] == [content(first), content(second)]
        assert run(mirror, "export", str(tmp_path / "b.tar"), "--all").returncode == 0
        assert run(mirror, "check", URL + first).returncode == 0
        assert run(mirror, "explain", URL + first).stdout.startswith("HIT")
        assert run(mirror, "rm", "-y", URL + second).returncode == 0
        mirror.restart("--offline")
        assert mirror.archive(first).body == content(first)
        assert mirror.archive(second).status == 504
    with mirroring(server, tmp_path / "in", offline=True) as inside:
        assert run(inside, "import", str(tmp_path / "b.tar")).returncode == 0
        assert inside.archive(second).body == content(second)


def test_what_lists_show_opens_nothing(server: Server, tmp_path: Path) -> None:
    """Who has only read a URL in a list, with the secret blurred, does not get the archive; commands know it by that."""
    with mirroring(server, tmp_path / "data") as mirror:
        mirror.archive(f"/sets/c.bin?token={SECRET}")
        shown = json.loads(mirror.get("/status/archives").body)["archives"][0]["url"]
        assert shown.startswith(f"{URL}/sets/c.bin?token=~")
        assert mirror.archive(shown.removeprefix(URL)).body != content(f"/sets/c.bin?token={SECRET}")
        assert run(mirror, "verify", shown).returncode == 0
        assert run(mirror, "rm", "-y", shown).returncode == 0
        mirror.restart()
        refused = run(mirror, "fetch", shown)
        assert (refused.returncode, "has a secret, which is not kept" in refused.stderr) == (1, True)


def test_the_origin_is_asked_with_them(server: Server, tmp_path: Path) -> None:
    """What is stale is asked for with the secret that the client sent, never with what lists show."""
    target = f"/sets/d.bin?token={SECRET}"
    with mirroring(server, tmp_path / "data") as mirror:
        server.forget()
        for _ in range(2):
            assert mirror.archive(target).body == content(target)
        mirror.restart()
        assert mirror.archive(target).body == content(target)
    assert {asked.target for asked in server.asked} == {target}


def test_places_in_lists_are_no_secrets(server: Server, tmp_path: Path) -> None:
    """Tokens that are places in a list stay as they are, in URLs and in links."""
    with mirroring(server, tmp_path / "data") as mirror:
        answered = mirror.archive("/sets/plain/list.bin?pageToken=abcdef0123456789abcdef")
        assert "pageToken=abcdef0123456789abcdef" in answered.fields["link"]
        assert "pageToken=abcdef0123456789abcdef" in mirror.get("/status/archives").body.decode()
