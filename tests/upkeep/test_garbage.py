"""Garbage: what nobody needs is found and removed, and nothing else."""

import json
import os
import time
from typing import Any

from tests.conftest import StartMirror
from tests.origin import Origin, body
from tests.serving import URL, Mirror
from tests.waiting import until

OLD, NEW = body(200_000, 1), body(300_000, 2)
PATH = "/sets/a.bin"


def gc(mirror: Mirror, **how: object) -> dict[str, Any]:
    answer = mirror.api("gc", **how)
    assert answer.status == 200, answer.body
    found: dict[str, Any] = json.loads(answer.body)
    return found


def kinds(found: dict[str, Any]) -> list[tuple[str, int]]:
    return sorted((item["kind"], item["size"]) for item in found["garbage"])


def littered(origin: Origin, start_mirror: StartMirror) -> Mirror:
    """A mirror with an older version, an orphan, a leftover of a fill, and a blob in quarantine."""
    mirror = start_mirror(origins=[{"url": URL, "paths": ["/sets/"], "freshness": "0s"}])
    origin.add(PATH, OLD, etag='"1"')
    mirror.archive(PATH)
    origin.change(PATH, body=NEW, etag='"2"')
    mirror.archive(PATH)
    until(lambda: len(mirror.blobs) == 2)
    (mirror.data / "quarantine").mkdir()
    (mirror.data / "quarantine" / ("ab" * 32)).write_bytes(b"damaged")
    orphan = mirror.data / "blobs" / "sha256" / "cd" / ("cd" * 32)
    orphan.parent.mkdir(exist_ok=True)
    orphan.write_bytes(b"orphan")
    leftover = mirror.data / "partial" / "1-1"
    leftover.write_bytes(b"left over")
    os.utime(leftover, (time.time() - 3600,) * 2)
    return mirror


ALL = [("leftover", 9), ("old version", len(OLD)), ("orphan", 6), ("quarantined", 7)]


def test_a_dry_run_only_tells(origin: Origin, start_mirror: StartMirror) -> None:
    """All kinds of garbage are told with their sizes, and nothing is removed."""
    mirror = littered(origin, start_mirror)
    found = gc(mirror, dry_run=True)
    assert (kinds(found), found["freed"], found["missing"]) == (ALL, 0, 0)
    assert kinds(gc(mirror, dry_run=True)) == ALL


def test_what_people_leave_there(origin: Origin, start_mirror: StartMirror) -> None:
    """Links that lead nowhere go like files, folders stay, and neither is in the way of the rest."""
    mirror = littered(origin, start_mirror)
    for name in ("partial", "quarantine"):
        (mirror.data / name / "folder").mkdir()
        (mirror.data / name / "link").symlink_to("nowhere")
        os.utime(mirror.data / name / "link", (0, 0), follow_symlinks=False)
    assert gc(mirror)["freed"] == sum(size for _, size in ALL)
    for name in ("partial", "quarantine"):
        assert [path.name for path in (mirror.data / name).iterdir()] == ["folder"]


def test_garbage_goes_and_the_rest_stays(origin: Origin, start_mirror: StartMirror) -> None:
    """What nobody needs is removed; current bytes are served as before, and are no longer said to have changed."""
    mirror = littered(origin, start_mirror)
    freed = gc(mirror)["freed"]
    assert freed == sum(size for _, size in ALL)
    assert gc(mirror)["garbage"] == []
    assert [blob.stat().st_size for blob in mirror.blobs] == [len(NEW)]
    assert mirror.archive(PATH).body == NEW
    detail = json.loads(mirror.get(f"/status/archive?url={URL}{PATH}").body)
    assert (detail["state"], len(detail["versions"])) == ("computed", 1)


def test_a_fill_under_way_is_no_garbage(origin: Origin, mirror: Mirror) -> None:
    """The growing file of a download stays, however old it is."""
    origin.add(PATH, NEW, stall_after=200_000)
    asked = mirror.get("/status/fills")
    import socket

    with socket.create_connection(("127.0.0.1", mirror.port), 10) as client:
        client.sendall(f"GET /data.example.org{PATH} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        client.recv(1000)
        (growing,) = (mirror.data / "partial").iterdir()
        os.utime(growing, (time.time() - 3600,) * 2)
        assert gc(mirror)["garbage"] == []
        assert growing.exists()
    assert asked.status == 200
