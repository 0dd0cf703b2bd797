"""Several upstreams of one origin: who is asked when, and when one may go on where another broke."""

import asyncio
import hashlib
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from dataset_mirror.errors import NotAllowed
from dataset_mirror.fetch import health
from tests.conftest import StartMirror
from tests.fetch.asking import asking
from tests.origin import Origin, body
from tests.serving import HOST, URL, Mirror

PATH = "/sets/a.bin"
DATA = body(1_000_000)
DIGEST = hashlib.sha256(DATA).hexdigest()


@pytest.fixture
def second() -> Iterator[Origin]:
    """Another upstream."""
    with Origin() as running:
        yield running


def with_both(start_mirror: StartMirror, *upstreams: Origin, **settings: Any) -> Mirror:
    """A mirror that asks these upstreams in order."""
    return start_mirror(upstreams={HOST: [upstream.url for upstream in upstreams]}, **settings)


def test_the_first_is_asked_alone_while_it_answers(origin: Origin, second: Origin, start_mirror: StartMirror) -> None:
    """The order is the operator's: a later upstream is not asked without need."""
    origin.add(PATH, DATA)
    second.add(PATH, DATA)
    assert with_both(start_mirror, origin, second).archive(PATH).body == DATA
    assert second.requests == []


@pytest.mark.parametrize("fault", [{"status": 500}, {"status": 404}, {"reset_after": 0}], ids=["500", "404", "reset"])
def test_the_next_is_asked_when_one_fails(origin: Origin, second: Origin, start_mirror: StartMirror, fault: dict[str, Any]) -> None:
    """An upstream that fails before its first byte, or does not have the archive, costs nobody an error."""
    origin.add(PATH, DATA, **fault)
    second.add(PATH, DATA)
    assert with_both(start_mirror, origin, second).archive(PATH).body == DATA


async def test_what_one_refused_is_closed_whatever_the_next_does(origin: Origin, second: Origin) -> None:
    """No connection is left of an upstream that refused, if the next one redirects to where its origin may not."""
    origin.add(PATH, DATA, status=404, status_body=DATA)
    second.add(PATH, DATA, redirect="https://elsewhere.example.net/a.bin")
    async with asking(origin.url, second.url) as ours:
        assert isinstance(await ours.refusal(PATH), NotAllowed)
        await asyncio.to_thread(origin.wait_for, lambda: origin.open_connections == 0)


@pytest.mark.parametrize("field", [{"Date": "Mon, 01 Jan 99999999999 00:00:00 GMT"}, {"Age": "9" * 400}], ids=["date", "age"])
async def test_absurd_times_are_none(origin: Origin, field: dict[str, str]) -> None:
    """An upstream that says nothing sensible of time is asked like any other."""
    origin.add(PATH, DATA, headers={"Date": "Mon, 01 Jan 2024 00:00:00 GMT", **field})
    async with asking(origin.url) as ours:
        assert await ours.read(PATH) == DATA


def test_a_failing_one_is_left_alone_and_shown(origin: Origin, second: Origin, start_mirror: StartMirror) -> None:
    """The next archive is asked from the other upstream at once, and /status says why."""
    for name in ("/sets/1", "/sets/2"):
        second.add(name, DATA)
        origin.add(name, DATA)
    origin.refuse = True
    mirror = with_both(start_mirror, origin, second)
    assert mirror.archive("/sets/1").status == 200
    seen = origin.connections
    assert mirror.archive("/sets/2").status == 200
    assert origin.connections == seen
    shown = {upstream["place"]: upstream for upstream in mirror.status["upstreams"]}
    assert shown[origin.url]["resting"]
    assert shown[origin.url]["last_error"]
    assert not shown[second.url]["resting"]


def test_another_goes_on_where_the_catalog_proves_the_bytes(origin: Origin, second: Origin, start_mirror: StartMirror) -> None:
    """With a digest in the catalog, another upstream's range completes what one began, whatever its validators are."""
    origin.add(PATH, DATA, reset_after=400_000, etag='"one"')
    second.add(PATH, DATA, etag='"two"')
    mirror = with_both(start_mirror, origin, second, archives=[{"url": URL + PATH, "sha256": DIGEST}])
    assert _after_first_cut(origin, mirror) == DATA
    (asked,) = second.gets(PATH)
    assert asked.range is not None
    assert asked.header("if-range") is None


def _after_first_cut(origin: Origin, mirror: Mirror) -> bytes:
    """What a client gets if the first upstream is gone once it broke."""
    got: list[bytes] = []
    client = threading.Thread(target=lambda: got.append(mirror.archive(PATH).body))
    client.start()
    origin.wait_for(lambda: bool(origin.gets(PATH)) and origin.open_connections == 0)
    origin.stop()
    client.join(30)
    return got[0]


def test_another_never_splices_what_nothing_proves(origin: Origin, second: Origin, start_mirror: StartMirror) -> None:
    """Without a digest and under another validator the fill starts over: only the other upstream's bytes are kept."""
    other = body(1_000_000, seed=2)
    origin.add(PATH, DATA, reset_after=300, etag='"one"')  # too few bytes for a reader to have any
    second.add(PATH, other, etag='"two"')
    mirror = with_both(start_mirror, origin, second)
    assert _after_first_cut(origin, mirror) == other
    assert mirror.archive(PATH).body == other


def test_another_without_a_validator_proves_nothing(origin: Origin, second: Origin, start_mirror: StartMirror) -> None:
    """A part without a tag, which another upstream sends whatever If-Range says, is never put beside what is there."""
    other = body(1_000_000, seed=2)
    origin.add(PATH, DATA, reset_after=300, etag='"one"')
    second.add(PATH, other, etag=None, if_range=False)
    mirror = with_both(start_mirror, origin, second)
    assert _after_first_cut(origin, mirror) == other
    assert mirror.archive(PATH).body == other


def test_an_equal_strong_validator_lets_another_go_on(origin: Origin, second: Origin, start_mirror: StartMirror) -> None:
    """Two upstreams with the same strong entity tag and length are the same archive."""
    origin.add(PATH, DATA, reset_after=400_000, etag='"same"')
    second.add(PATH, DATA, etag='"same"')
    assert _after_first_cut(origin, with_both(start_mirror, origin, second)) == DATA
    (asked,) = second.gets(PATH)
    assert asked.header("if-range") == '"same"'


def test_an_upstream_rests_longer_with_each_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    """The rest doubles up to five minutes; one good answer ends it."""
    now = 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    known = health.UpstreamHealth()
    rests = []
    for _ in range(6):
        known.failed("http://a", "it broke")
        rests.append(known.by_place["http://a"].until - now)
    assert rests == [30, 60, 120, 240, 300, 300]
    known.succeeded("http://a")
    assert not known.resting("http://a")


def test_an_upstream_may_fail_any_number_of_times() -> None:
    """One that has been away for days, and was asked by every client, is known as well as one that has just gone."""
    known = health.UpstreamHealth()
    for _ in range(1_100):
        known.failed("http://a", "it is away")
    assert known.resting("http://a")
