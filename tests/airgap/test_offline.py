"""Offline is truly offline: everything stored is served, and not one packet leaves."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.airgap.alone import why_not
from tests.conftest import StartMirror
from tests.origin import Origin, body
from tests.serving import HOST, PATIENCE, URL, Mirror, mirroring

ROOT = Path(__file__).parents[2]
A, DAMAGED = body(300_000, 1), body(2000, 2)
STALE = {"origins": [{"url": URL, "paths": ["/sets/"], "freshness": 0}]}
KERAS = "/storage.googleapis.com/tensorflow/tf-keras-datasets/mnist.npz"
SOON = 1.0
"""Seconds; a name that is looked up in vain takes five or more."""

REQUESTS: list[tuple[str, str, object, int]] = [
    ("GET", f"/{HOST}/sets/a.bin", None, 200),
    ("HEAD", f"/{HOST}/sets/a.bin", None, 200),
    ("GET", f"/{HOST}/sets/missing.bin", None, 504),
    ("HEAD", f"/{HOST}/sets/missing.bin", None, 504),
    ("GET", KERAS, None, 504),
    ("HEAD", KERAS, None, 504),
    ("GET", f"/status/explain?url={URL}/sets/a.bin", None, 200),
    ("GET", f"/status/explain?url={URL}/sets/missing.bin", None, 200),
    *(("GET", page, None, 200) for page in ("/", "/status", "/status/archives", "/status/wanted", "/status/catalog", "/metrics")),
    ("POST", "/api/fetch", {"archives": ["keras/mnist", f"{URL}/sets/a.bin"]}, 200),
    ("POST", "/api/gc", {}, 200),
    ("POST", "/api/verify", {"archives": [f"{URL}/*"]}, 200),
    ("POST", "/api/reload", None, 200),
]
"""Method, path, what is sent as JSON, and the status that it gets."""


def stocked(origin: Origin, data: Path) -> Path:
    """A data folder with /sets/a.bin, which is stale, and /sets/damaged.bin, which is damaged."""
    with mirroring(origin, data, **STALE) as mirror:
        for path, content in (("/sets/a.bin", A), ("/sets/damaged.bin", DAMAGED)):
            origin.add(path, content)
            assert mirror.archive(path).status == 200
        (blob,) = (blob for blob in mirror.blobs if blob.stat().st_size == len(DAMAGED))
        mirror.stop()
        blob.write_bytes(b"?" * len(DAMAGED))
    return data


def alone(data: Path, requests: list[tuple[str, str, object]], commands: list[list[str]], **settings: object) -> dict[str, Any]:
    """What a mirror of that folder answers in a namespace of its own, and what would have left it."""
    asked = json.dumps({"settings": STALE | settings, "requests": requests, "commands": commands})
    command = ["unshare", "-rn", sys.executable, "-m", "tests.airgap.alone", str(data)]
    done = subprocess.run(command, cwd=ROOT, input=asked, capture_output=True, text=True, timeout=3 * PATIENCE, check=False)
    assert done.returncode == 0, done.stderr
    said: dict[str, Any] = json.loads(done.stdout)
    return said


needs_namespace = pytest.mark.skipif(bool(why_not()), reason=why_not())


@needs_namespace
def test_not_one_packet_leaves(origin: Origin, tmp_path: Path) -> None:
    """Hits, misses, pages, checks of what is stale, verify, gc, fetch and reload: no packet, no name looked up, every answer soon."""
    commands = [["fetch", "keras/mnist"], ["gc"], ["ls"], ["wanted"]]
    requests = [(method, path, sent) for method, path, sent, _ in REQUESTS]
    said = alone(stocked(origin, tmp_path / "data"), requests, commands, offline=True, max_size=1)
    answers = said["answers"]
    for method, path, _, status in REQUESTS:
        name = f"{method} {path}"
        assert (name, answers[name][0]) == (name, status)
        assert (name, answers[name][1] < SOON) == (name, True)
    assert '"state":"failed"' in answers["POST /api/verify"][2]
    assert "offline" in answers["fetch keras/mnist"][2]
    assert f"{URL}/sets/a.bin" in answers["ls"][2]
    assert said["left"] == []
    assert said["seen"] > 0


@needs_namespace
def test_the_wiretap_hears(origin: Origin, tmp_path: Path) -> None:
    """The same mirror, online, is heard: else the test above would prove nothing."""
    said = alone(stocked(origin, tmp_path / "data"), [("GET", KERAS, None)], [])
    assert said["answers"][f"GET {KERAS}"][0] == 504
    assert said["left"]


def test_no_connection_to_the_origin(start_mirror: StartMirror, origin: Origin) -> None:
    """Everything stored is served, listing and HEAD too, though it is stale; its origin, which is there, sees no connection."""
    origin.add("/sets/a.bin", A, etag='"one"')
    mirror = start_mirror(**STALE)
    assert mirror.archive("/sets/a.bin").status == 200
    mirror.restart("--offline")
    origin.clear()
    answer = mirror.archive("/sets/a.bin")
    assert (answer.status, answer.body, answer.fields["etag"]) == (200, A, '"one"')
    assert "ttl=-" in answer.fields["cache-status"]
    part = mirror.archive("/sets/a.bin", range="bytes=-100")
    assert (part.status, part.body) == (206, A[-100:])
    head = mirror.head("/sets/a.bin")
    assert (head.status, head.fields["content-length"]) == (200, str(len(A)))
    assert mirror.archive("/sets/a.bin", if_none_match='"one"').status == 304
    assert mirror.get(f"/sha256/{HOST}/sets/a.bin").status == 200
    assert b"/sets/a.bin" in mirror.get("/status/archives").body
    assert (mirror.archive("/sets/b.bin").status, mirror.head("/sets/b.bin").status) == (504, 504)
    assert (origin.connections, origin.requests) == (0, [])


def test_names_are_not_looked_up_to_listen(tmp_path: Path) -> None:
    """Offline, `host` has to be an address, or localhost."""
    mirror = Mirror(tmp_path / "data", offline=True, host="mirror.invalid")
    with pytest.raises(AssertionError, match="it does not listen"):
        mirror.start()
    assert "mirror.invalid" in mirror.log
    assert "Give an address" in mirror.log
