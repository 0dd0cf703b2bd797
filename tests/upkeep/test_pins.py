"""Pins and schedules: what stays, what comes by itself, at which hours, and how fast."""

import json
import subprocess
import threading
import time
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from dataset_mirror.errors import DataFolderError
from dataset_mirror.origins.identity import parse_url
from dataset_mirror.store.pins import Pins
from tests import warm
from tests.conftest import StartMirror
from tests.origin import Origin, body
from tests.serving import HOST, URL, Mirror, environment
from tests.waiting import until

A, B = f"{URL}/sets/a.bin", f"{URL}/sets/b.bin"


def run(mirror: Mirror, *arguments: str) -> subprocess.CompletedProcess[str]:
    """A command on the mirror's data folder, with its settings."""
    known = environment(mirror.data.parent, {"data": str(mirror.data)} | mirror._settings)
    return warm.run(*arguments, cwd=mirror.data.parent, env=known)


def stored(mirror: Mirror) -> set[str]:
    """The URLs of what is stored."""
    return {json.loads(line)["url"] for line in run(mirror, "ls", "--json").stdout.splitlines()}


def hours(first: int, last: int) -> str:
    """From so many minutes from now to so many."""
    now = datetime.now()
    return "-".join(f"{now + timedelta(minutes=minutes):%H:%M}" for minutes in (first, last))


def test_what_is_pinned_is_not_evicted(start_mirror: StartMirror, origin: Origin) -> None:
    """The archive used longest ago makes room, unless it is pinned: then the next one goes; unpinned, it is the first again."""
    for name in "abcd":
        origin.add(f"/sets/{name}.bin", body(4000))
    origin.add("/sets/b.bin", body(4000, 2))
    origin.add("/sets/c.bin", body(4000, 3))
    origin.add("/sets/d.bin", body(4000, 4))
    mirror = start_mirror(max_size=8000, min_free=0)
    mirror.archive("/sets/a.bin")
    mirror.archive("/sets/b.bin")
    assert run(mirror, "pin", A).stdout == f"Pinned {A}: 1 of 1 archive is there (4.0 kB).\n"
    assert mirror.archive("/sets/c.bin").status == 200
    assert stored(mirror) == {A, f"{URL}/sets/c.bin"}
    assert run(mirror, "unpin", A).stdout == f"Unpinned {A}.\n"
    assert mirror.archive("/sets/d.bin").status == 200
    assert A not in stored(mirror)


def test_what_is_pinned_comes(mirror: Mirror, origin: Origin) -> None:
    """A pinned archive that is missing, lost or cut is fetched by the mirror itself, and /status says how much is there."""
    origin.add("/sets/a.bin", body(3000))
    assert " of 1 archive " in run(mirror, "pin", A).stdout
    until(lambda: mirror.status["archives"] == 1)
    (pin,) = mirror.status["pins"]
    assert (pin["name"], pin["archives"], pin["present"], pin["size"]) == (A, 1, 1, 3000)
    for gets, damaged in enumerate((b"short", None), 2):
        if damaged:
            mirror.blobs[0].write_bytes(damaged)
        else:
            mirror.blobs[0].unlink()
        mirror.api("reload")  # a look at once
        number = gets
        until(lambda: len(origin.gets("/sets/a.bin")) >= number and mirror.status["pins"][0]["present"] == 1)  # noqa: B023
    assert mirror.archive("/sets/a.bin").body == body(3000)


def test_a_pin_that_means_nothing_any_more(start_mirror: StartMirror, origin: Origin) -> None:
    """A repository of a preset that was taken away is said in the log; what is named besides comes, and /status tells of all."""
    origin.add("/sets/a.bin", body(3000))
    mirror = start_mirror(presets=[], keep=[{"name": ["https://"], "at": "00:00"}])
    Pins(mirror.data / "pins.json").add(["hf:org/name", A])
    mirror.api("reload")  # a look at once
    until(lambda: mirror.status["archives"] == 1)
    assert [(pin["name"], pin["present"]) for pin in mirror.status["pins"]] == [("hf:org/name", 0), (A, 1)]
    assert mirror.get("/metrics").status == 200
    assert "hf:org/name could not be looked after" in mirror.log


def test_what_is_pinned_is_checked(start_mirror: StartMirror, origin: Origin) -> None:
    """A pinned archive that is stale is checked, though nobody asks for it."""
    origin.add("/sets/a.bin", body(3000))
    mirror = start_mirror(origins=[{"url": URL, "paths": ["/sets/"], "freshness": 0}])
    mirror.archive("/sets/a.bin")
    asked = len(origin.gets("/sets/a.bin"))
    run(mirror, "pin", "https://data.example.org/sets/*")
    until(lambda: len(origin.gets("/sets/a.bin")) > asked)


def test_pins_outlive_the_index(mirror: Mirror, origin: Origin) -> None:
    """A rebuild of the index loses no pin; nor does a restart."""
    origin.add("/sets/a.bin", body(3000))
    mirror.archive("/sets/a.bin")
    run(mirror, "pin", A, "keras/*")
    mirror.stop()
    for file in mirror.data.glob("index.db*"):
        file.unlink()
    assert run(mirror, "doctor", "--rebuild").returncode == 0
    assert [json.loads(line)["name"] for line in run(mirror, "pin", "--json").stdout.splitlines()] == [A, "keras/*"]
    listed = run(mirror, "pin")
    assert listed.stdout.splitlines()[0].split() == ["pinned", "present", "size"]
    assert "1 of 1" in listed.stdout.splitlines()[1]


def test_what_is_pinned_is_not_removed(mirror: Mirror, origin: Origin) -> None:
    """`rm` refuses a pinned archive, and says how to unpin it."""
    origin.add("/sets/a.bin", body(3000))
    mirror.archive("/sets/a.bin")
    run(mirror, "pin", f"{URL}/sets/*")
    done = run(mirror, "rm", "--yes", A)
    assert (done.returncode, "is pinned" in done.stderr, "unpin" in done.stderr) == (2, True, True)
    refused = run(mirror, "unpin", A)
    assert refused.returncode == 2
    assert f"unpin '{URL}/sets/*'" in refused.stderr
    assert run(mirror, "unpin", "*").returncode == 0
    assert run(mirror, "rm", "--yes", A).returncode == 0


@pytest.mark.parametrize("name", ["keras/mnits", "https://other.example.org/a.zip", "no-such", "ftp://x/y"])
def test_a_name_that_means_nothing(mirror: Mirror, name: str) -> None:
    """What neither the catalog nor an origin has is not pinned."""
    done = run(mirror, "pin", name)
    assert (done.returncode in (1, 2), done.stderr.count("\n"), mirror.status["pins"]) == (True, 1, [])


def test_what_is_pinned_stays_so_while_pins_change(tmp_path: Path) -> None:
    """Whoever asks from another thread at the moment when a pin comes or goes hears that the others are there."""
    pins, over = Pins(tmp_path / "pins.json"), threading.Event()
    archive, seen = parse_url(f"{URL}/sets/0.bin"), set[bool]()
    pins.add(f"{URL}/sets/{number}.bin" for number in range(500))

    def ask() -> None:
        while not over.is_set():
            seen.add(pins.has(archive, ""))

    asking = [threading.Thread(target=ask) for _ in range(3)]
    for thread in asking:
        thread.start()
    for _ in range(20):
        pins.add(["keras/mnist"])
        pins.remove(["keras/mnist"])
    over.set()
    for thread in asking:
        thread.join()
    assert seen == {True}


def test_a_file_of_pins_that_cannot_be_read(tmp_path: Path) -> None:
    """While nobody can tell what is pinned, everything is, and nothing is written over it."""
    pins = Pins(tmp_path / "pins.json")
    assert not pins.has(parse_url(A), "")
    (tmp_path / "pins.json").write_text("{")
    assert pins.has(parse_url(A), "")
    with pytest.raises(DataFolderError):
        pins.add([A])
    (tmp_path / "pins.json").unlink()
    assert [pin.name for pin in pins.add([A, A])] == [A]
    assert Pins(tmp_path / "pins.json").has(parse_url(A), "")


def test_what_is_fetched_ahead(start_mirror: StartMirror, origin: Origin) -> None:
    """Within its hours what a schedule names comes by itself, after a reload too; outside of them nothing is asked for."""
    origin.add("/sets/a.bin", body(3000))
    origin.add("/sets/b.bin", body(2000))
    keep = [{"name": A, "at": hours(-2, 10)}, {"name": [B], "at": hours(10, 20)}]
    mirror = start_mirror(keep=keep)
    until(lambda: mirror.status["archives"] == 1)
    now, later = mirror.status["keep"]
    assert (now["name"], now["active"], now["present"]) == ([A], True, 1)
    assert (later["active"], later["archives"], later["present"]) == (False, 1, 0)
    assert origin.gets("/sets/b.bin") == []
    (mirror.data / "mirror.toml").write_text(f'[[keep]]\nname = "{B}"\nat = "{hours(-2, 10)}"\n')
    del mirror._settings["keep"]
    mirror.restart()
    until(lambda: mirror.status["archives"] == 2)


@pytest.mark.parametrize("where", ["always", "by hours", "of a schedule"])
def test_a_rate_limit(start_mirror: StartMirror, origin: Origin, where: str) -> None:
    """Origins are read no faster than allowed at this hour."""
    size, rate = 300_000, 200_000
    origin.add("/sets/a.bin", body(size))
    known: dict[str, dict[str, Any]] = {
        "always": {"rate_limit": rate},
        "by hours": {"rate_limit": {hours(10, 20): 1, hours(-2, 10): rate}},
        "of a schedule": {"keep": [{"name": A, "at": hours(-2, 10), "rate_limit": rate}]},
    }
    began = time.monotonic()
    mirror = start_mirror(**known[where])
    if where != "of a schedule":
        began = time.monotonic()
        assert mirror.archive("/sets/a.bin").body == body(size)
        assert mirror.status["rate_limit"] == rate
    until(lambda: mirror.status["archives"] == 1)
    assert time.monotonic() - began > size / rate - 0.3


def test_at_other_hours_there_is_no_limit(start_mirror: StartMirror, origin: Origin) -> None:
    """A limit of other hours holds nobody up."""
    origin.add("/sets/a.bin", body(300_000))
    mirror = start_mirror(rate_limit={hours(10, 20): 1000})
    assert mirror.archive("/sets/a.bin").status == 200  # which would take five minutes
    assert mirror.status["rate_limit"] is None


def test_offline_nothing_comes(start_mirror: StartMirror, origin: Origin) -> None:
    """Offline neither pins nor schedules ask anybody."""
    origin.add("/sets/a.bin", body(3000))
    mirror = start_mirror(keep=[{"name": A, "at": hours(-2, 10)}], offline=True)
    run(mirror, "pin", B)
    mirror.api("reload")
    assert mirror.status["pins"][0]["present"] == 0
    assert origin.requests == []
    assert HOST in mirror.status["keep"][0]["name"][0]
