"""Verification: damaged blobs are found, set aside, never served again, and fetched again."""

import json
import resource
from pathlib import Path
from typing import Any

import pytest

from dataset_mirror.upkeep.verify import Rehash
from tests.conftest import StartMirror
from tests.origin import Origin, body
from tests.serving import URL, Mirror
from tests.waiting import until

DATA, OTHER = body(3_000_000, 1), body(100_000, 2)
PATH, ELSE = "/sets/a.bin", "/sets/else.bin"


def filled(origin: Origin, mirror: Mirror) -> Mirror:
    origin.add(PATH, DATA)
    origin.add(ELSE, OTHER)
    for path in (PATH, ELSE):
        assert mirror.archive(path).status == 200
    return mirror


def damage(mirror: Mirror, size: int) -> None:
    """Changes one byte of the blob of that size, as a bad disk does."""
    (blob,) = (blob for blob in mirror.blobs if blob.stat().st_size == size)
    with blob.open("r+b") as file:
        file.seek(size // 2)
        before = file.read(1)
        file.seek(size // 2)
        file.write(bytes([before[0] ^ 1]))


def verify(mirror: Mirror, *names: str) -> list[dict[str, Any]]:
    answer = mirror.api("verify", archives=list(names))
    assert answer.status == 200, answer.body
    return [json.loads(line) for line in answer.body.splitlines()]


def ends(steps: list[dict[str, Any]]) -> list[tuple[str, str]]:
    """The last words on each archive, without those on the way."""
    return [(step["url"].removeprefix(URL), step["state"]) for step in steps if step["state"] not in ("checking", "fetching")]


def test_good_archives(origin: Origin, mirror: Mirror) -> None:
    """Where nothing is wrong each archive is read to its end and said to be good, and the origin is not asked."""
    filled(origin, mirror)
    steps = verify(mirror)
    assert ends(steps) == [(PATH, "good"), (ELSE, "good")]
    assert [step["checked"] for step in steps if step["state"] == "good"] == [len(DATA), len(OTHER)]
    assert len(origin.requests) == 2


def test_a_damaged_blob_is_fetched_again(origin: Origin, mirror: Mirror) -> None:
    """One flipped bit is found; the blob goes to quarantine/, and right bytes are served from then on."""
    filled(origin, mirror)
    damage(mirror, len(DATA))
    assert ends(verify(mirror)) == [(PATH, "damaged"), (ELSE, "good"), (PATH, "fetched")]
    assert mirror.archive(PATH).body == DATA
    (set_aside,) = (mirror.data / "quarantine").iterdir()
    assert set_aside.stat().st_size == len(DATA)
    assert set_aside.read_bytes() != DATA
    assert ends(verify(mirror)) == [(PATH, "good"), (ELSE, "good")]


def test_a_damaged_blob_is_never_served_again(origin: Origin, mirror: Mirror) -> None:
    """If the origin is gone the archive is an error then, with the reason, not wrong bytes."""
    filled(origin, mirror)
    damage(mirror, len(DATA))
    origin.change(PATH, status=404)
    steps = verify(mirror, URL + PATH)
    assert ends(steps) == [(PATH, "damaged"), (PATH, "failed")]
    assert "404" in steps[-1]["error"]["detail"]
    assert mirror.archive(PATH).status == 404
    assert mirror.archive(ELSE).body == OTHER


def test_a_blob_that_cannot_be_opened(tmp_path: Path) -> None:
    """Without a descriptor nobody knows whether a blob is damaged, and it is not said to be."""
    path = tmp_path / "blob"
    path.write_bytes(DATA)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
    try:
        with pytest.raises(OSError, match="Too many open files"):
            Rehash(path).sha256()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_while_the_disk_of_the_blobs_is_away(origin: Origin, mirror: Mirror) -> None:
    """Nothing is forgotten; when the disk is back all is good."""
    filled(origin, mirror)
    blobs, aside = mirror.data / "blobs", mirror.data / "unmounted"
    blobs.rename(aside)
    blobs.mkdir()
    steps = verify(mirror)
    assert [end for end in ends(steps) if end[1] == "failed"] == [(PATH, "failed"), (ELSE, "failed")]
    assert "Mount its disk" in steps[-1]["error"]["hint"]
    blobs.rmdir()
    aside.rename(blobs)
    assert ends(verify(mirror)) == [(PATH, "good"), (ELSE, "good")]
    assert len(origin.requests) == 2


def test_a_lost_blob(origin: Origin, mirror: Mirror) -> None:
    """A blob that somebody deleted is told as lost, and fetched again."""
    filled(origin, mirror)
    (blob,) = (blob for blob in mirror.blobs if blob.stat().st_size == len(DATA))
    blob.unlink()
    assert ends(verify(mirror)) == [(PATH, "lost"), (ELSE, "good"), (PATH, "fetched")]


def test_all_names_of_a_damaged_blob(origin: Origin, mirror: Mirror) -> None:
    """Every archive that has the damaged bytes is fetched again."""
    filled(origin, mirror)
    origin.add("/sets/twin.bin", DATA)
    mirror.archive("/sets/twin.bin")
    damage(mirror, len(DATA))
    found = ends(verify(mirror))
    assert sorted(end for end in found if end[1] == "fetched") == [(PATH, "fetched"), ("/sets/twin.bin", "fetched")]


def test_older_versions_are_verified_too(origin: Origin, start_mirror: StartMirror) -> None:
    """A damaged older version is set aside; what is current stays."""
    mirror = start_mirror(origins=[{"url": URL, "paths": ["/sets/"], "freshness": "0s"}])
    origin.add(PATH, DATA)
    mirror.archive(PATH)
    origin.change(PATH, body=OTHER, etag='"2"')
    mirror.archive(PATH)
    origin.wait_for(lambda: len(origin.gets(PATH)) == 2)
    until(lambda: len(mirror.blobs) == 2)
    damage(mirror, len(DATA))
    assert (PATH, "damaged") in ends(verify(mirror))
    answer = mirror.archive(PATH)
    assert answer.body == OTHER
    assert [blob.stat().st_size for blob in mirror.blobs] == [len(OTHER)]


def test_a_name_that_means_nothing(mirror: Mirror) -> None:
    """A wrong name is a 400 before anything is read."""
    assert mirror.api("verify", archives=["keras/mnist"]).status == 400
