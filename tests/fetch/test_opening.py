"""Before the first byte: which answers of an origin are asked again, passed on, followed or refused."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from dataset_mirror.errors import FillFailed, MirrorError, NotAllowed, NotAnArchive, OriginBusy, OriginUnreachable
from dataset_mirror.fetch.opening import first_reply
from dataset_mirror.fetch.reply import Reply
from dataset_mirror.fetch.source import OriginSource
from dataset_mirror.fetch.upstream import Upstream
from dataset_mirror.origins.identity import ArchiveId
from dataset_mirror.settings import Configuration, load
from tests.conftest import StartMirror
from tests.origin import Origin, body
from tests.serving import HOST, URL, Mirror

DATA = body(200_000)
PATH = "/sets/a.bin"
CDN = "cdn.example.org"


def configured(origin: Origin) -> Configuration:
    known: dict[str, object] = {
        "data": "/nowhere",
        "presets": [],
        "origins": [{"url": URL, "paths": ["/sets/"], "redirects_to": [CDN]}],
        "upstreams": {HOST: [origin.url], CDN: [origin.url], "else.example.org": [origin.url]},
    }
    return load(flags=known)


@asynccontextmanager
async def opened(origin: Origin) -> AsyncIterator[Reply]:
    """The first reply for PATH."""
    configuration, archive = configured(origin), ArchiveId(HOST, PATH)
    upstream = Upstream(configuration)
    try:
        reply = await first_reply(OriginSource(upstream, configuration.origins.of(archive), archive))
        try:
            yield reply
        finally:
            await reply.close()
    finally:
        await upstream.close()


async def read(origin: Origin) -> bytes:
    async with opened(origin) as reply:
        return b"".join([chunk async for chunk in reply.bytes()])


async def refusal(origin: Origin) -> MirrorError:
    with pytest.raises(MirrorError) as raised:
        await read(origin)
    return raised.value


@pytest.fixture
def no_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Waits between tries take no time."""
    monkeypatch.setattr("dataset_mirror.fetch.retry.random.uniform", lambda *_: 0.0)


@pytest.fixture(scope="module")
def shared(start_shared_mirror: StartMirror) -> Mirror:
    return start_shared_mirror()


@pytest.mark.usefixtures("no_waits")
@pytest.mark.parametrize("status", [429, 500, 503])
async def test_passing_trouble_is_asked_again(origin: Origin, status: int) -> None:
    """An origin that is in trouble twice is asked three times, and its archive is given."""
    origin.add(PATH, DATA, status=status, times=2)
    assert await read(origin) == DATA
    assert len(origin.gets(PATH)) == 3


@pytest.mark.usefixtures("no_waits")
async def test_lasting_trouble_ends_after_three_tries(origin: Origin) -> None:
    """An origin that stays in trouble is asked three times, then its status is told."""
    origin.add(PATH, DATA, status=500)
    error = await refusal(origin)
    assert (type(error), error.status) == (FillFailed, 502)
    assert "500" in error.detail
    assert len(origin.gets(PATH)) == 3


async def test_short_retry_after_is_honoured(origin: Origin) -> None:
    """Nothing is asked before the second that an origin asks to wait is over."""
    origin.add(PATH, DATA, status=503, retry_after=1, times=1)
    assert await read(origin) == DATA
    first, second = origin.gets(PATH)
    assert second.time - first.time >= 1


async def test_long_retry_after_is_passed_on_at_once(origin: Origin) -> None:
    """An origin that asks to wait an hour is asked once, and the client gets 503 with its Retry-After."""
    origin.add(PATH, DATA, status=503, retry_after=3600)
    error = await refusal(origin)
    assert (type(error), error.status, error.headers) == (OriginBusy, 503, {"Retry-After": "3600"})
    assert len(origin.gets(PATH)) == 1


async def test_accepted_is_asked_again(origin: Origin, monkeypatch: pytest.MonkeyPatch) -> None:
    """An origin that prepares a file first (202) is asked until the file is there."""
    monkeypatch.setattr("dataset_mirror.fetch.opening.ACCEPTED_WAITS", (0.0, 0.0, 0.0))
    origin.add(PATH, DATA, status=202, times=3)
    assert await read(origin) == DATA


async def test_accepted_for_ever_is_no_archive(origin: Origin, monkeypatch: pytest.MonkeyPatch) -> None:
    """An origin that answers 202 four times gave no archive: 502."""
    monkeypatch.setattr("dataset_mirror.fetch.opening.ACCEPTED_WAITS", (0.0, 0.0, 0.0))
    origin.add(PATH, DATA, status=202)
    error = await refusal(origin)
    assert (type(error), error.status) == (NotAnArchive, 502)
    assert len(origin.gets(PATH)) == 4


@pytest.mark.parametrize("status", [404, 410])
def test_absence_is_remembered(shared: Mirror, shared_origin: Origin, status: int) -> None:
    """An origin's 404 or 410 is passed on, and a second request for it does not reach the origin."""
    path = f"/sets/absent-{status}.bin"
    shared_origin.add(path, DATA, status=status)
    assert [shared.archive(path).problem["status"] for _ in range(2)] == [status, status]
    assert len(shared_origin.gets(path)) == 1


@pytest.mark.parametrize("status", [401, 403, 451])
def test_refusal_is_passed_on_and_quoted(shared: Mirror, shared_origin: Origin, status: int) -> None:
    """An origin's refusal keeps its status, and at most 2 KiB of its words are quoted."""
    path = f"/sets/refused-{status}.bin"
    shared_origin.add(path, DATA, status=status, status_body=b"go away " * 1000)
    answer = shared.archive(path)
    assert answer.status == status
    said = answer.problem["origin_said"]
    assert said.startswith("go away")
    assert len(said) <= 2048


@pytest.mark.parametrize("status", [401, 404, 410, 412, 451])
def test_refusal_of_a_head_is_passed_on(shared: Mirror, shared_origin: Origin, status: int) -> None:
    """HEAD of what the origin refuses has the origin's status too, and starts no download."""
    path = f"/sets/refused-head-{status}.bin"
    shared_origin.add(path, DATA, status=status)
    assert shared.head(path).status == status
    assert shared_origin.gets(path) == []


@pytest.mark.parametrize("status", [401, 403, 451])
def test_refusal_is_not_remembered(shared: Mirror, shared_origin: Origin, status: int) -> None:
    """A refusal that may end is asked for again by the next request."""
    path = f"/sets/for-now-{status}.bin"
    shared_origin.add(path, DATA, status=status, times=1)
    assert shared.archive(path).status == status
    assert shared.archive(path).body == DATA


@pytest.mark.usefixtures("no_waits")
async def test_unreachable_origin_is_a_504(origin: Origin) -> None:
    """An origin that does not listen gives 504, with what to check."""
    origin.stop()
    error = await refusal(origin)
    assert (type(error), error.status) == (OriginUnreachable, 504)
    assert "(Connection refused)" in error.detail
    assert "upstreams" in error.hint


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_redirect_to_listed_host_is_followed(origin: Origin, status: int) -> None:
    """A redirect to a host that the origin lists is followed, by whichever status."""
    origin.add(PATH, b"", redirect=f"https://{CDN}/deep/b.bin?signature=1", redirect_status=status)
    origin.add("/deep/b.bin", DATA)
    assert await read(origin) == DATA


async def test_relative_redirect_is_followed(origin: Origin) -> None:
    """A redirect without a host stays at the origin."""
    origin.add(PATH, b"", redirect="../else/b.bin")
    origin.add("/else/b.bin", DATA)
    assert await read(origin) == DATA


async def test_redirect_to_unlisted_host_is_refused(origin: Origin) -> None:
    """A redirect to a host that the origin does not list gives 403 with the line that would allow it, and is not followed."""
    origin.add(PATH, b"", redirect="https://else.example.org/b.bin")
    origin.add("/b.bin", DATA)
    error = await refusal(origin)
    assert (type(error), error.status) == (NotAllowed, 403)
    assert 'redirects_to = ["else.example.org"]' in error.hint
    assert not origin.gets("/b.bin")


@pytest.mark.parametrize("target", [f"http://{HOST}/sets/b.bin", f"http://{CDN}/sets/b.bin", "file:///etc/passwd"])
async def test_redirect_away_from_https_is_refused(origin: Origin, target: str) -> None:
    """A redirect from https to anything else is never followed, not even to a listed host."""
    origin.add(PATH, b"", redirect=target)
    origin.add("/sets/b.bin", DATA)
    assert isinstance(await refusal(origin), NotAllowed)
    assert not origin.gets("/sets/b.bin")


@pytest.mark.parametrize(
    "target", [f"https://user:secret@{HOST}/b.bin", "https://[bad/b.bin", "https://a b/b.bin", f"https://{HOST}:999999/b.bin"]
)
async def test_redirect_to_no_place_is_a_502(origin: Origin, target: str) -> None:
    """A redirect to what is no URL, or carries a password, is the origin's fault, not the client's: 502, and nothing is asked."""
    origin.add(PATH, b"", redirect=target)
    error = await refusal(origin)
    assert (type(error), error.status) == (FillFailed, 502)
    assert len(origin.requests) == 1


async def test_redirect_loop_is_a_502(origin: Origin) -> None:
    """Five redirects are followed, then it is a 502."""
    origin.add(PATH, b"", redirect=PATH)
    error = await refusal(origin)
    assert (type(error), error.status) == (FillFailed, 502)
    assert len(origin.gets(PATH)) == 6
