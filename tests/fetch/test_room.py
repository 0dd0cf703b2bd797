"""Room for new archives: what was used longest ago goes first, and only what its origin confirms to have."""

import asyncio
import socket
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from dataset_mirror.fetch.eviction import Eviction, Leaving
from dataset_mirror.mirror import running
from dataset_mirror.origins.identity import ArchiveId
from dataset_mirror.settings import load
from dataset_mirror.store.store import Store
from tests.conftest import StartMirror
from tests.origin import Origin, body
from tests.serving import HOST, PATIENCE, URL, Mirror

SIZE = 100_000
NAMES = "abcd"


def data(name: str) -> bytes:
    return body(SIZE, seed=ord(name))


def path(name: str) -> str:
    return f"/sets/{name}.bin"


@pytest.fixture
def full(origin: Origin, start_mirror: StartMirror) -> Mirror:
    """A mirror with room for three archives, which has a, b and c; a was used last, so b goes first."""
    return filled(origin, start_mirror)


def filled(origin: Origin, start_mirror: StartMirror, **settings: Any) -> Mirror:
    for name in NAMES:
        origin.add(path(name), data(name))
    mirror = start_mirror(max_size=3 * SIZE, **settings)
    for name in "abca":
        assert mirror.archive(path(name)).status == 200
    return mirror


def kept(mirror: Mirror) -> str:
    """Names of the archives that are there."""
    import json

    listed = json.loads(mirror.get("/status/archives").body)["archives"]
    return "".join(sorted(line["url"][-5] for line in listed))


def test_what_was_used_longest_ago_goes(full: Mirror, origin: Origin) -> None:
    """A fill that does not fit takes the place of the archive that nobody asked for the longest; its origin was asked by HEAD."""
    assert full.archive(path("d")).body == data("d")
    assert kept(full) == "acd"
    assert [request.method for request in origin.requests if request.target == path("b")] == ["GET", "HEAD"]
    assert len(full.blobs) == 3
    assert full.archive(path("b")).body == data("b")
    assert kept(full) == "abd"


def test_one_byte_where_head_is_refused(full: Mirror, origin: Origin) -> None:
    """An origin that refuses HEAD, as signed URLs do, is asked for one byte."""
    origin.change(path("b"), refuse_head=403)
    assert full.archive(path("d")).status == 200
    assert kept(full) == "acd"
    assert origin.gets(path("b"))[-1].range == "bytes=0-0"


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"etag": '"v2"'}, id="another tag"),
        pytest.param({"body": data("b") + b"!"}, id="another size"),
        pytest.param({"etag": 'W/"v1"'}, id="a weak tag"),
        pytest.param({"status": 404}, id="gone"),
    ],
)
def test_a_last_copy_stays(full: Mirror, origin: Origin, change: dict[str, Any]) -> None:
    """What its origin does not have any more just so stays, and the next one goes."""
    origin.change(path("b"), **change)
    assert full.archive(path("d")).status == 200
    assert kept(full) == "abd"


def test_nothing_goes_when_the_origin_is_silent(full: Mirror, origin: Origin) -> None:
    """Without confirmation nothing goes: the new archive is refused with figures and the command that helps."""
    for name in "abc":
        origin.change(path(name), etag='"other"')
    problem = full.archive(path("d"))
    assert problem.status == 507
    assert f"needs {SIZE:,} bytes more" in problem.problem["detail"]
    assert "300,000 of 300,000 (max_size) are in use" in problem.problem["detail"]
    assert "dataset-mirror gc" in problem.problem["hint"]
    assert kept(full) == "abc"


def test_every_archive_is_looked_at(origin: Origin, start_mirror: StartMirror) -> None:
    """However many before it are the last copies of theirs, the one that may go is found."""
    names = [f"/sets/{number}.bin" for number in range(10)]
    for number, name in enumerate(names):
        origin.add(name, body(SIZE, seed=number))
    mirror = start_mirror(max_size=9 * SIZE)
    for name in names[:9]:
        assert mirror.archive(name).status == 200
    for name in names[:8]:
        origin.change(name, etag='"other"')
    assert mirror.archive(names[9]).status == 200


def test_nothing_goes_unless_enough_can(full: Mirror, origin: Origin) -> None:
    """An archive that is larger than all that may go takes nothing away."""
    origin.add("/sets/big.bin", body(4 * SIZE))
    assert full.archive("/sets/big.bin").status == 507
    assert kept(full) == "abc"


def test_what_is_read_stays(origin: Origin, start_mirror: StartMirror) -> None:
    """An archive that a client is just getting does not go, although it was asked for the longest ago."""
    big = body(20_000_000)
    origin.add("/sets/big.bin", big)
    origin.add(path("a"), data("a"))
    origin.add(path("d"), data("d"))
    mirror = start_mirror(max_size=len(big) + SIZE)
    assert mirror.archive("/sets/big.bin").status == 200
    with socket.create_connection(("127.0.0.1", mirror.port), PATIENCE) as reader:
        reader.sendall(f"GET /{HOST}/sets/big.bin HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
        got = reader.recv(1000)  # and then it reads no further for a while
        assert mirror.archive(path("a")).status == 200
        assert mirror.archive(path("d")).status == 200
        assert mirror.archive(path("a"), range="bytes=0-0").status == 206
        while chunk := reader.recv(1_000_000):
            got += chunk
    assert got.endswith(big)
    assert len(mirror.blobs) == 2


def test_a_dataset_goes_as_a_whole(origin: Origin, start_mirror: StartMirror) -> None:
    """Archives of one catalog name go together, at the place in line of the one that was used last."""
    named = [{"url": URL + path(name), "name": "sets/ab"} for name in "ab"]
    mirror = filled(origin, start_mirror, archives=named)  # c was used before a
    assert mirror.archive(path("d")).status == 200
    assert kept(mirror) == "abd"
    mirror.archive(path("d"))
    assert mirror.archive(path("c")).status == 200
    assert kept(mirror) == "cd"


def test_archives_with_the_same_bytes_go_together(origin: Origin, start_mirror: StartMirror) -> None:
    """Removing one of them would free nothing."""
    mirror = start_mirror(max_size=2 * SIZE)
    for name, content in (("a", "x"), ("b", "x"), ("c", "c"), ("d", "d")):
        origin.add(path(name), data(content))
    for name in "abcd":
        assert mirror.archive(path(name)).status == 200
    assert kept(mirror) == "cd"


def test_bytes_of_unknown_length_find_room_as_they_come(full: Mirror, origin: Origin) -> None:
    """A chunked body makes room step by step, and one for which there is none ends in an error and leaves no trace."""
    origin.change(path("d"), chunked=True)
    assert full.archive(path("d")).status == 507  # its first step of room is larger than everything
    assert kept(full) == "abc"


def test_gc_lets_go_what_a_smaller_limit_wants_gone(full: Mirror, origin: Origin) -> None:
    """After max_size was lowered gc removes what is over it, and says what is left over; last copies only when it is told to."""
    origin.change(path("b"), etag='"other"')
    origin.change(path("a"), etag='"other"')
    (full.data / "mirror.toml").write_text("")
    full.stop()
    full._settings["max_size"] = SIZE
    full.start()
    import json

    tried = json.loads(full.api("gc", dry_run=True).body)
    assert ([item["kind"] for item in tried["garbage"]], tried["freed"]) == (["over the limit"], 0)
    done = json.loads(full.api("gc").body)
    assert (done["freed"], done["missing"], kept(full)) == (SIZE, SIZE, "ab")
    done = json.loads(full.api("gc", last_copies=True).body)
    assert (done["freed"], done["missing"], kept(full)) == (SIZE, 0, "a")


def test_room_of_a_fill_that_has_no_file(origin: Origin, start_mirror: StartMirror) -> None:
    """Room that was reserved for a fill is free again if not even its file could be made."""
    origin.add(path("a"), data("a"))
    mirror = start_mirror(max_size=SIZE)
    partial, aside = mirror.data / "partial", mirror.data / "aside"
    partial.rename(aside)
    partial.touch()
    assert mirror.archive(path("a")).status == 502
    assert mirror.status["store"]["promised"] == 0
    partial.unlink()
    aside.rename(partial)
    assert mirror.archive(path("a")).body == data("a")


async def test_what_somebody_begins_to_read_meanwhile_stays(origin: Origin, tmp_path: Path) -> None:
    """Who may go is looked at again at the moment when it goes: removing the one before takes its time."""
    for name in "ab":
        origin.add(path(name), data(name))
    with closing(Store(tmp_path)) as store:
        flags = {"data": tmp_path, "presets": [], "origins": [{"url": URL, "paths": ["/sets/"]}], "upstreams": {HOST: [origin.url]}}
        async with running(load(flags=flags), store) as heart:
            for name in "ab":
                async with asyncio.timeout(PATIENCE):
                    await heart.fill(heart.asked(ArchiveId(HOST, path(name)))).ended()
            first, second = (store.find(ArchiveId(HOST, path(name))) for name in "ab")
            assert first is not None
            assert second is not None
            busy = Eviction(store, heart.upstream, heart.configuration, lambda _: store.find(first.archive) is None, heart.flush)
            assert await busy.let_go([Leaving((first, second), 2 * SIZE)]) == SIZE
            assert store.find(second.archive) is not None
