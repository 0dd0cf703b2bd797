"""A connection that breaks goes on where it stopped, or starts over: what arrives is one right archive, never a splice."""

from __future__ import annotations

import asyncio
import hashlib
import http.client
import itertools
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing, contextmanager
from pathlib import Path

import pytest

from dataset_mirror.errors import FillFailed, MirrorError, OriginBusy
from dataset_mirror.fetch.fill import Fill
from dataset_mirror.fetch.retry import Backoff, retry_after
from dataset_mirror.mirror import Mirror as Heart
from dataset_mirror.mirror import running
from dataset_mirror.origins.identity import ArchiveId
from dataset_mirror.settings import load
from dataset_mirror.store.store import Store
from tests.conftest import StartMirror
from tests.origin import Origin, body
from tests.serving import HOST, PATIENCE, URL, Mirror

SIZE, CUT = 3_000_000, 1_000_000
OLD, NEW = body(SIZE), body(SIZE, seed=1)
PATH = "/sets/a.bin"
PATHS = (f"/sets/{number}.bin" for number in itertools.count())
"""For tests that share an origin and a mirror."""
BROKEN = (ConnectionError, http.client.IncompleteRead)


@pytest.fixture(scope="module")
def shared(start_shared_mirror: StartMirror) -> Mirror:
    return start_shared_mirror()


@pytest.fixture
def path() -> str:
    """An archive that no other test asks for."""
    return next(PATHS)


@contextmanager
def asking(mirror: Mirror, path: str) -> Iterator[http.client.HTTPResponse]:
    """A client that reads when it likes."""
    with closing(http.client.HTTPConnection("127.0.0.1", mirror.port, timeout=PATIENCE)) as connection:
        connection.request("GET", f"/{HOST}{path}")
        with connection.getresponse() as response:
            yield response


def read_on(response: http.client.HTTPResponse, got: bytearray) -> None:
    """Adds what arrives to `got`, so that it is there even if the connection breaks."""
    while more := response.read1():
        got += more


def resumes(origin: Origin, path: str) -> list[tuple[str | None, str | None]]:
    """Range and If-Range of each GET."""
    return [(request.range, request.header("if-range")) for request in origin.gets(path)]


# ---- Going on


@pytest.mark.parametrize("fault", ["cut_after", "reset_after"])
def test_broken_connection_goes_on_at_the_missing_bytes(shared_origin: Origin, shared: Mirror, path: str, fault: str) -> None:
    """After a break only the missing bytes are asked for, under the validator of those that came, and the archive is right."""
    shared_origin.add(path, OLD, times=1)
    shared_origin.change(path, **{fault: CUT})
    assert shared.archive(path).body == OLD
    assert resumes(shared_origin, path) == [(None, None), (f"bytes={CUT}-", '"v1"')]
    assert shared_origin.bytes_sent_for(path) == SIZE


def test_silent_connection_is_given_up(origin: Origin, start_mirror: StartMirror) -> None:
    """After idle_timeout seconds of silence the fill goes on over another connection."""
    origin.add(PATH, OLD, stall_after=CUT, times=1)
    assert start_mirror(idle_timeout=0.5).archive(PATH).body == OLD
    assert resumes(origin, PATH) == [(None, None), (f"bytes={CUT}-", '"v1"')]


def test_strong_date_serves_as_validator(shared_origin: Origin, shared: Mirror, path: str) -> None:
    """Without an entity tag, a Last-Modified of long ago proves that the rest belongs to what came."""
    date = "Mon, 01 Jan 2024 00:00:00 GMT"
    shared_origin.add(path, OLD, etag=None, last_modified=date, cut_after=CUT, times=1)
    assert shared.archive(path).body == OLD
    assert resumes(shared_origin, path) == [(None, None), (f"bytes={CUT}-", date)]


def test_a_tag_may_have_any_bytes(shared_origin: Origin, shared: Mirror, path: str) -> None:
    """A tag with bytes beyond ASCII (RFC 9110 8.8.3) goes back to its origin as it came."""
    shared_origin.add(path, OLD, etag='"caf\xe9"', cut_after=CUT, times=1)
    assert shared.archive(path).body == OLD
    assert resumes(shared_origin, path) == [(None, None), (f"bytes={CUT}-", '"caf\xe9"')]


def test_whole_answer_under_the_same_validator_goes_on(shared_origin: Origin, shared: Mirror, path: str) -> None:
    """An origin without ranges sends it all again; the reader in mid-body gets all right bytes."""
    shared_origin.add(path, OLD, ranges=False, cut_after=CUT, times=1)
    with asking(shared, path) as response:
        beginning = response.read(CUT // 2)
        assert beginning + response.read() == OLD
    assert len(shared_origin.gets(path)) == 2


# ---- Starting over


@pytest.mark.parametrize("etag", ['"v2"', None, 'W/"v1"'])
def test_changed_archive_starts_over(shared_origin: Origin, shared: Mirror, path: str, etag: str | None) -> None:
    """If the archive changes in the middle, the client that had bytes is broken, and the next one gets the new bytes entirely."""
    old = body(SIZE, seed=2)  # no other test has them kept
    shared_origin.add(path, old, stall_after=CUT)
    with asking(shared, path) as response:
        beginning = response.read(CUT)
        shared_origin.change(path, body=NEW, etag=etag, stall_after=None)
        shared_origin.interrupt()
        with pytest.raises(BROKEN):
            response.read()
    assert beginning == old[:CUT]
    assert shared.archive(path).body == NEW
    assert hashlib.sha256(old).hexdigest() not in {blob.name for blob in shared.blobs}


@pytest.mark.parametrize("etag", [None, '"v1"'], ids=["a date alone", "a tag as well"])
def test_a_part_of_another_date_is_never_spliced(shared_origin: Origin, shared: Mirror, path: str, etag: str | None) -> None:
    """A part that an origin sends whatever If-Range says, and that tells of another date, belongs to another archive: it starts over."""
    old = body(SIZE, seed=3 if etag else 4)
    date = "Mon, {:02} Jan 2024 00:00:00 GMT"
    shared_origin.add(path, old, etag=etag, last_modified=date.format(1), if_range=False, stall_after=CUT)
    with asking(shared, path) as response:
        beginning = response.read(CUT)
        shared_origin.change(path, body=NEW, etag=None, last_modified=date.format(8), stall_after=None)
        shared_origin.interrupt()
        with pytest.raises(BROKEN):
            response.read()
    assert beginning == old[:CUT]
    assert shared.archive(path).body == NEW


def test_reader_without_bytes_takes_the_new_archive(shared_origin: Origin, shared: Mirror, path: str) -> None:
    """A client whose part has not begun to arrive is not troubled by a new start: it gets the new bytes."""
    bodies = itertools.chain([OLD], itertools.repeat(NEW))
    shared_origin.add(path, lambda _: next(bodies), etag=None, cut_after=CUT, times=1)
    assert shared.archive(path, range="bytes=2000000-2000999").body == NEW[2_000_000:2_001_000]
    assert resumes(shared_origin, path) == [(None, None), (None, None)]


@pytest.mark.parametrize("etag", [None, 'W/"v1"'])
def test_without_strong_validator_it_starts_over(shared_origin: Origin, shared: Mirror, path: str, etag: str | None) -> None:
    """Where nothing proves that the rest belongs to what came, no range is asked for: all bytes come again."""
    shared_origin.add(path, OLD, etag=etag, cut_after=CUT, times=1)
    with pytest.raises(BROKEN):
        shared.archive(path)
    assert shared.archive(path).body == OLD
    assert set(resumes(shared_origin, path)) == {(None, None)}


def test_same_validator_with_other_bytes_is_no_proof(shared_origin: Origin, shared: Mirror, path: str) -> None:
    """Bytes that come again are compared: an origin that keeps its tag for other bytes breaks the client, and is asked again."""
    bodies = itertools.chain([OLD], itertools.repeat(NEW))
    shared_origin.add(path, lambda _: next(bodies), ranges=False, cut_after=CUT, times=1)
    with pytest.raises(BROKEN):
        shared.archive(path)
    assert shared.archive(path).body == NEW


def test_range_of_another_length_starts_over(shared_origin: Origin, shared: Mirror, path: str) -> None:
    """A 206 whose total differs is never spliced, even under the same tag: the client that is broken has old bytes only."""
    longer = NEW + b"more"
    bodies = itertools.chain([OLD], itertools.repeat(longer))
    shared_origin.add(path, lambda _: next(bodies), cut_after=CUT, times=1)
    with asking(shared, path) as response:
        got = bytearray(response.read(CUT))
        with pytest.raises(BROKEN):
            read_on(response, got)
    assert got == OLD[:CUT]
    assert shared.archive(path).body == longer


def test_archive_that_became_shorter_starts_over(shared_origin: Origin, shared: Mirror, path: str) -> None:
    """A 416 to the missing bytes means that the archive is another one now."""
    bodies = itertools.chain([OLD], itertools.repeat(NEW[: CUT // 2]))
    shared_origin.add(path, lambda _: next(bodies), cut_after=CUT, times=1)
    with pytest.raises(BROKEN):
        shared.archive(path)
    assert shared.archive(path).body == NEW[: CUT // 2]


# ---- Giving up, in-process so that waits take no time


@asynccontextmanager
async def filling(origin: Origin, data: Path, **settings: object) -> AsyncIterator[Fill]:
    """The fill of PATH by a mirror in this process."""
    known: dict[str, object] = {"data": data, "origins": [{"url": URL, "paths": ["/sets/"]}], "upstreams": {HOST: [origin.url]}}
    with closing(Store(data)) as store:
        async with running(load(flags=known | settings), store) as heart:
            yield await found(heart)


async def found(heart: Heart) -> Fill:
    fill = await heart.find(heart.asked(ArchiveId(HOST, PATH)))
    assert isinstance(fill, Fill)
    return fill


async def failure(fill: Fill) -> MirrorError:
    async with asyncio.timeout(PATIENCE):
        await fill.ended()
    assert fill.error is not None
    return fill.error


@pytest.fixture
def no_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Waits between tries take no time."""
    monkeypatch.setattr("dataset_mirror.fetch.retry.random.uniform", lambda *_: 0.0)


@pytest.mark.usefixtures("no_waits")
async def test_five_attempts_without_progress_fail_with_the_story(origin: Origin, tmp_path: Path) -> None:
    """A fill that five attempts in a row do not bring forward fails, and tells how far it came and what happened each time."""
    origin.add(PATH, OLD, stall_after=CUT)
    async with filling(origin, tmp_path) as fill:
        await asyncio.to_thread(origin.wait_for, lambda: origin.bytes_sent >= CUT)
        while fill.received < CUT:
            await fill.grown()
        origin.refuse = True
        await asyncio.to_thread(origin.interrupt)
        error = await failure(fill)
    assert isinstance(error, FillFailed)
    assert f"after {CUT:,} of {SIZE:,} bytes" in error.detail
    assert error.detail.count("; then ") == 4
    assert list((tmp_path / "partial").iterdir()) == []


@pytest.mark.usefixtures("no_waits")
async def test_progress_renews_the_budget(origin: Origin, tmp_path: Path) -> None:
    """Any number of breaks is survived as long as each connection brings something."""
    origin.add(PATH, OLD, cut_after=SIZE // 8)
    async with filling(origin, tmp_path) as fill, asyncio.timeout(PATIENCE):
        await fill.ended()
    assert fill.record is not None
    assert fill.record.sha256 == hashlib.sha256(OLD).hexdigest()
    assert len(origin.gets(PATH)) >= 8


@pytest.mark.usefixtures("no_waits")
async def test_the_same_bytes_again_are_no_progress(origin: Origin, tmp_path: Path) -> None:
    """An origin without ranges that always breaks at the same place is given up after five attempts."""
    origin.add(PATH, OLD, ranges=False, cut_after=CUT)
    async with filling(origin, tmp_path) as fill:
        error = await failure(fill)
    assert isinstance(error, FillFailed)
    assert len(origin.gets(PATH)) == 5


@pytest.mark.usefixtures("no_waits")
async def test_archive_that_always_changes_is_given_up(origin: Origin, tmp_path: Path) -> None:
    """An origin whose tag changes with every answer, and which breaks every time, does not keep a fill for ever."""
    origin.add(PATH, OLD, etag_per_connection=True, cut_after=CUT)
    async with filling(origin, tmp_path) as fill:
        error = await failure(fill)
    assert isinstance(error, FillFailed)
    assert "again and again" in error.detail


@pytest.mark.usefixtures("no_waits")
async def test_long_retry_after_in_the_middle_is_not_waited_for(origin: Origin, tmp_path: Path) -> None:
    """An origin that asks to wait an hour in the middle fails the fill with 503 and its Retry-After."""
    origin.add(PATH, OLD, stall_after=CUT)
    async with filling(origin, tmp_path) as fill:
        await asyncio.to_thread(origin.wait_for, lambda: origin.bytes_sent >= CUT)
        origin.change(PATH, stall_after=None, status=503, retry_after=3600)
        await asyncio.to_thread(origin.interrupt)
        error = await failure(fill)
    assert isinstance(error, OriginBusy)
    assert error.headers == {"Retry-After": "3600"}


# ---- Backoff


def test_waits_double_from_half_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    """Five attempts without progress have four waits between them, of 0.5 s and doubling; then the budget is spent."""
    monkeypatch.setattr("dataset_mirror.fetch.retry.random.uniform", lambda *_: 1.0)
    backoff = Backoff(attempts=5)
    assert [backoff.next_wait() for _ in range(5)] == [0.5, 1.0, 2.0, 4.0, None]


def test_waits_have_jitter() -> None:
    """Waits differ by up to a quarter, so that many fills do not ask at the same moment."""
    waits = [Backoff(attempts=2).next_wait() for _ in range(100)]
    assert all(wait is not None and 0.375 <= wait <= 0.625 for wait in waits)
    assert len(set(waits)) > 1


def test_progress_makes_the_budget_whole() -> None:
    """After progress all attempts are there again."""
    backoff = Backoff(attempts=2)
    assert backoff.next_wait() is not None
    assert backoff.next_wait() is None
    backoff.progress()
    assert backoff.next_wait() is not None


def test_time_is_a_budget_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """No attempt is made after the seconds of the budget."""
    now = [100.0]
    monkeypatch.setattr("dataset_mirror.fetch.retry.time.monotonic", lambda: now[0])
    backoff = Backoff(attempts=9, seconds=15)
    assert backoff.next_wait() is not None
    now[0] += 15.1
    assert backoff.next_wait() is None


def test_an_asked_wait_is_waited(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the upstream asks to wait is waited exactly, unless it is less than anybody would wait: it must not be asked on and on."""
    monkeypatch.setattr("dataset_mirror.fetch.retry.random.uniform", lambda *_: 1.0)
    assert Backoff(attempts=2).next_wait(7.0) == 7.0
    assert Backoff(attempts=2).next_wait(0.0) == 0.5


NOON, LATER = "Mon, 01 Jan 2024 12:00:00 GMT", "Mon, 01 Jan 2024 12:00:07 GMT"


@pytest.mark.parametrize(
    ("field", "date", "seconds"),
    [
        pytest.param(None, NOON, None, id="none"),
        pytest.param("", NOON, None, id="empty"),
        pytest.param(" 12 ", None, 12.0, id="seconds"),
        pytest.param("0", NOON, 0.0, id="at once"),
        pytest.param("9" * 400, None, 86_400.0, id="longer than anybody waits"),
        pytest.param("soon", NOON, None, id="a word"),
        pytest.param("-1", NOON, None, id="a negative number"),
        pytest.param("٣", NOON, None, id="digits of another script"),
        pytest.param(LATER, NOON, 7.0, id="a time, whatever our clock says"),
        pytest.param("Sat, 01 Jan 2124 12:00:00 GMT", NOON, 86_400.0, id="a time far away"),
        pytest.param(NOON, LATER, None, id="a time before the answer"),
        pytest.param(LATER, None, None, id="a time of an answer without one"),
        pytest.param(LATER, "now", None, id="a time of an answer with a wrong one"),
        pytest.param("Mon, 01 Jan 0001 00:00:00 +1200", NOON, None, id="a time before all times"),
    ],
)
def test_retry_after_is_read(field: str | None, date: str | None, seconds: float | None) -> None:
    """Retry-After is seconds, or a time as of the answer's own Date: a clock of ours that is days off neither shortens nor extends it."""
    assert retry_after(field, date) == seconds
