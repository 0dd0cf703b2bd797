"""After a restart a large fill goes on where it was, if the origin proves that it still has the same; else it starts afresh."""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from dataset_mirror.origins.identity import parse_url
from dataset_mirror.rules.conditions import Validators
from dataset_mirror.rules.secrets import blurred
from dataset_mirror.store.resumable import Leftover
from tests.conftest import StartMirror
from tests.origin import MIB, Origin, body
from tests.serving import HOST, PATIENCE, URL, Mirror, mirroring
from tests.waiting import until

SIZE, STALL = 80_000_000, 72_000_000
OLD, NEW = body(SIZE), body(SIZE, seed=1)
PATH = "/sets/large.bin"
ONE_CONNECTION = [{"url": URL, "paths": ["/sets/"], "connections": 1}]


@pytest.fixture
def mirror(start_mirror: StartMirror) -> Mirror:
    return start_mirror(origins=ONE_CONNECTION)


@contextmanager
def asking(mirror: Mirror) -> Iterator[http.client.HTTPResponse]:
    """A client that reads when it likes."""
    with closing(http.client.HTTPConnection("127.0.0.1", mirror.port, timeout=PATIENCE)) as connection:
        connection.request("GET", f"/{HOST}{PATH}")
        with connection.getresponse() as response:
            yield response


def read(response: http.client.HTTPResponse, count: int) -> bytes:
    got = response.read(count)
    assert len(got) == count
    return got


def journal(mirror: Mirror) -> dict[str, Any]:
    """What the only journal in partial/ says."""
    (path,) = (mirror.data / "partial").glob("*.json")
    known: dict[str, Any] = json.loads(path.read_bytes())
    return known


def wait_for_journal(mirror: Mirror) -> None:
    until(lambda: list((mirror.data / "partial").glob("*.json")))


def there(mirror: Mirror) -> int:
    """Bytes that the journal says are there."""
    return sum(end - start for start, end in journal(mirror)["have"])


def left(mirror: Mirror) -> list[Path]:
    return sorted((mirror.data / "partial").iterdir())


def interrupted(origin: Origin, mirror: Mirror, end: Callable[[Mirror], object]) -> int:
    """A fill that stands still near its end when `end` comes; the bytes that were kept of it. Then the origin is well, and forgets."""
    origin.add(PATH, OLD, stall_after=STALL)
    with asking(mirror) as response:
        assert read(response, STALL) == OLD[:STALL]
        wait_for_journal(mirror)
        end(mirror)
    origin.change(PATH, stall_after=None)
    origin.clear()
    return there(mirror)


# ---- Going on


@pytest.mark.parametrize("end", [Mirror.kill, Mirror.stop], ids=["killed", "stopped"])
def test_the_next_run_goes_on(origin: Origin, mirror: Mirror, end: Callable[[Mirror], object]) -> None:
    """After SIGKILL as after SIGTERM only what is missing is asked for, under the validator of what is there; the bytes are right."""
    kept = interrupted(origin, mirror, end)
    assert kept >= 64 * MIB
    mirror.start()
    assert mirror.archive(PATH).body == OLD
    (request,) = origin.gets(PATH)
    assert (request.range, request.header("if-range")) == (f"bytes={kept}-", '"v1"')
    assert origin.bytes_sent_for(PATH) == SIZE - kept
    assert left(mirror) == []
    assert mirror.archive(PATH).fields["etag"] == '"v1"'


def test_a_gentle_stop_keeps_every_byte(origin: Origin, mirror: Mirror) -> None:
    """SIGTERM loses nothing that had arrived."""
    assert interrupted(origin, mirror, Mirror.stop) == STALL


def test_readers_follow_at_once_what_is_there(origin: Origin, mirror: Mirror) -> None:
    """What is there from before is sent while the origin is still silent about the rest."""
    kept = interrupted(origin, mirror, Mirror.kill)
    origin.change(PATH, stall_after=0, times=1)
    mirror.start()
    with asking(mirror) as response:
        assert read(response, kept) == OLD[:kept]
    assert len(origin.gets(PATH)) == 1


def test_it_goes_on_more_than_once(origin: Origin, mirror: Mirror) -> None:
    """A fill that was gone on with can be cut off and gone on with again."""
    kept = interrupted(origin, mirror, Mirror.kill)
    origin.change(PATH, stall_after=1_000_000)
    mirror.start()
    with asking(mirror) as response:
        read(response, kept + 1_000_000)
        mirror.stop()
    assert there(mirror) == kept + 1_000_000
    origin.change(PATH, stall_after=None)
    origin.clear()
    mirror.start()
    assert mirror.archive(PATH).body == OLD
    assert origin.bytes_sent_for(PATH) == SIZE - kept - 1_000_000


def test_gaps_are_filled(origin: Origin, start_mirror: StartMirror) -> None:
    """What several connections had brought out of order counts as well: hardly more than what is missing is asked for."""
    mirror, large = start_mirror(), body(128 * MIB)
    origin.add(PATH, large, rate=12_000_000)
    with asking(mirror):
        wait_for_journal(mirror)
        mirror.kill()
    missing = len(large) - there(mirror)
    origin.change(PATH, rate=None)
    origin.clear()
    mirror.start()
    assert mirror.archive(PATH).body == large
    assert all(request.header("if-range") == '"v1"' for request in origin.gets(PATH))
    assert missing <= origin.bytes_sent_for(PATH) < 1.2 * missing
    assert left(mirror) == []


def test_an_unreachable_origin_costs_nothing(origin: Origin, mirror: Mirror) -> None:
    """If the origin gives no answer after the restart, what is there waits for the next client."""
    kept = interrupted(origin, mirror, Mirror.kill)
    origin.change(PATH, status=404)
    mirror.start()
    assert mirror.archive(PATH).status == 404
    origin.change(PATH, status=None)
    origin.clear()
    mirror.restart()
    assert mirror.archive(PATH).body == OLD
    assert origin.bytes_sent_for(PATH) == SIZE - kept


def test_there_must_be_room_for_the_rest_only(origin: Origin, start_mirror: StartMirror) -> None:
    """What is there is not asked of the disk again; without room for the rest it waits until there is."""
    mirror = start_mirror(origins=ONE_CONNECTION, max_size=SIZE)
    kept = interrupted(origin, mirror, Mirror.kill)
    full = mirroring(origin, mirror.data, origins=ONE_CONNECTION, max_size=SIZE - 1).start()
    assert full.archive(PATH).status == 507
    full.stop()
    origin.clear()
    mirror.start()
    assert mirror.archive(PATH).body == OLD
    assert origin.bytes_sent_for(PATH) == SIZE - kept


def test_it_is_no_garbage_while_it_waits(origin: Origin, mirror: Mirror) -> None:
    """gc leaves what the next client will be glad of, and takes it after a week."""
    interrupted(origin, mirror, Mirror.kill)
    mirror.start()
    assert json.loads(mirror.api("gc").body)["garbage"] == []
    file, journal = left(mirror)
    week_ago = time.time() - 8 * 24 * 3600
    os.utime(file, (week_ago, week_ago))
    assert json.loads(mirror.api("gc").body)["garbage"] == []
    os.utime(journal, (week_ago, week_ago))
    (found,) = json.loads(mirror.api("gc").body)["garbage"]
    assert (found["kind"], found["size"]) == ("leftover", STALL)
    assert left(mirror) == []
    origin.clear()
    assert mirror.archive(PATH).body == OLD
    assert [request.range for request in origin.gets(PATH)] == [None]


def leave(mirror: Mirror, count: int, **facts: Any) -> None:
    """What a former run, that ended after `count` bytes, leaves to a mirror that is stopped."""
    mirror.stop()
    path = mirror.data / "partial" / "1-1"
    path.write_bytes(OLD[:count])
    known: dict[str, Any] = {
        "url": URL + PATH,
        "archive": parse_url(URL + PATH),
        "length": SIZE,
        "upstream": "http://127.0.0.1:1",
        "validators": Validators('"v1"'),
        "fields": (("content-type", "application/octet-stream"),),
        "have": ((0, count),),
    }
    Leftover(path, **known | facts).save()
    mirror.start()


def test_a_whole_one_is_published(origin: Origin, mirror: Mirror) -> None:
    """If only the publication was missing, a single byte is asked for, to know that it is still the same."""
    origin.add(PATH, OLD)
    leave(mirror, SIZE)
    assert mirror.archive(PATH).body == OLD
    assert [request.range for request in origin.gets(PATH)] == [f"bytes={SIZE - 1}-"]
    assert left(mirror) == []


def test_a_url_with_a_secret_goes_on(origin: Origin, mirror: Mirror) -> None:
    """What is signed for one download is fetched with no credentials of the operator's, and goes on like anything else."""
    origin.add(PATH, OLD)
    leave(mirror, STALL, url=f"{URL}{PATH}?{blurred('token=abc', HOST)}")
    assert mirror.archive(f"{PATH}?token=abc").body == OLD
    assert [request.range for request in origin.gets(PATH)] == [f"bytes={STALL}-"]


# ---- Starting afresh


@pytest.mark.parametrize("facts", [{"private": True}, {"url": f"http://{HOST}{PATH}"}], ids=["private", "scheme"])
def test_what_came_on_another_way_is_not_used(origin: Origin, mirror: Mirror, facts: dict[str, Any]) -> None:
    """Bytes that came with credentials, or under the other scheme, are not mixed with those that come now."""
    origin.add(PATH, OLD)
    leave(mirror, STALL, **facts)
    assert mirror.archive(PATH).body == OLD
    assert [request.range for request in origin.gets(PATH)] == [None]
    assert left(mirror) == []


def test_a_range_that_does_not_fit_is_not_used(origin: Origin, mirror: Mirror) -> None:
    """A 206 of an archive of another size, by an origin that does not mind If-Range, proves nothing."""
    origin.add(PATH, OLD, headers={"ETag": '"v1"'})
    leave(mirror, STALL, length=SIZE + 1)
    assert mirror.archive(PATH).body == OLD
    assert [request.range for request in origin.gets(PATH)] == [f"bytes={STALL}-", None]
    assert left(mirror) == []


def test_wrong_bytes_do_not_pass(origin: Origin, start_mirror: StartMirror) -> None:
    """Where the catalog has a digest, bytes that were spoilt on the disk are found at the end; the next client gets right ones."""
    mirror = start_mirror(origins=ONE_CONNECTION, archives=[{"url": URL + PATH, "sha256": hashlib.sha256(OLD).hexdigest()}])
    origin.add(PATH, OLD)
    leave(mirror, STALL)
    mirror.stop()
    with (mirror.data / "partial" / "1-1").open("r+b") as file:
        file.write(b"spoilt")
    mirror.start()
    with pytest.raises((ConnectionError, http.client.IncompleteRead)):
        mirror.archive(PATH)
    assert mirror.archive(PATH).body == OLD
    assert left(mirror) == []


def test_another_archive_is_fetched_afresh(origin: Origin, mirror: Mirror) -> None:
    """If the origin's validator changed meanwhile, nothing of the old bytes is used."""
    interrupted(origin, mirror, Mirror.kill)
    origin.change(PATH, body=NEW, etag='"v2"')
    mirror.start()
    assert mirror.archive(PATH).body == NEW
    assert len(origin.gets(PATH)) == 1
    assert left(mirror) == []


def test_an_origin_without_ranges_sends_it_all(origin: Origin, mirror: Mirror) -> None:
    """A whole answer is taken as it is."""
    interrupted(origin, mirror, Mirror.kill)
    origin.change(PATH, ranges=False)
    mirror.start()
    assert mirror.archive(PATH).body == OLD
    assert (len(origin.gets(PATH)), left(mirror)) == (1, [])


def test_a_shorter_archive_is_fetched_afresh(origin: Origin, mirror: Mirror) -> None:
    """An answer that the range cannot be satisfied is no reason to fail."""
    interrupted(origin, mirror, Mirror.kill)
    origin.change(PATH, body=OLD[:1_000_000])
    mirror.start()
    assert mirror.archive(PATH).body == OLD[:1_000_000]
    assert left(mirror) == []


@pytest.mark.parametrize("end", [Mirror.kill, Mirror.stop], ids=["killed", "stopped"])
def test_a_small_archive_starts_afresh(origin: Origin, mirror: Mirror, end: Callable[[Mirror], object]) -> None:
    """Below 64 MiB nothing is written down, and nothing stays."""
    small = OLD[: 64 * MIB - 1]
    origin.add(PATH, small, stall_after=len(small) - 1, times=1)
    with asking(mirror) as response:
        read(response, len(small) - 64 * 1024 - 1)
        end(mirror)
    mirror.start()
    assert left(mirror) == []
    assert mirror.archive(PATH).body == small
    assert [request.range for request in origin.gets(PATH)] == [None, None]


def test_without_a_strong_validator_it_starts_afresh(origin: Origin, mirror: Mirror) -> None:
    """Where nothing would prove that the rest belongs to what is there, nothing is kept."""
    origin.add(PATH, OLD, etag=None, stall_after=STALL, times=1)
    with asking(mirror) as response:
        read(response, 1_000_000)
        mirror.stop()
    assert left(mirror) == []
    mirror.start()
    assert mirror.archive(PATH).body == OLD


def test_a_failed_fill_leaves_nothing(origin: Origin, start_mirror: StartMirror) -> None:
    """Only a stop keeps what is there: a digest that is wrong at the end does not."""
    mirror = start_mirror(origins=ONE_CONNECTION, archives=[{"url": URL + PATH, "sha256": "0" * 64}])
    origin.add(PATH, OLD)
    with pytest.raises((ConnectionError, http.client.IncompleteRead)):
        mirror.archive(PATH)
    assert left(mirror) == []
