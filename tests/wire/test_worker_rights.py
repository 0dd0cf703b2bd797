"""What clients may have, and may change, is the same whichever process of a mirror they come to."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from itertools import product

import pytest

from tests.origin import Origin, body
from tests.serving import HOST, URL, Mirror
from tests.waiting import until
from tests.wire.crew import at, workers
from tests.wire.test_protocol import Wire, raw_request
from tests.wire.test_workers import pytestmark as _needs_proc
from tests.wire.test_workers import whole

pytestmark = _needs_proc

GATED = "gated.example.org"
"""A host whose bytes are fetched with credentials, and which has no readers: they are for this machine."""
KEPT, NEVER = "/sets/kept.bin", "/sets/never.bin"
CONTENT = body(50_000, 1)
INSIDE, OUTSIDE = "X-Forwarded-For: 10.1.2.3", "X-Forwarded-For: 10.9.9.9"
HERE = "X-Other: of this machine, and not passed on"
TOKEN = "token-of-the-operator"
READERS = """
forwarded_allow_ips = ["127.0.0.1"]

[[origins]]
url = "{url}"
paths = ["/sets/"]
readers = ["{network}", "127.0.0.1"]

[[origins]]
url = "https://{gated}"
paths = ["/sets/"]
{headers}
"""


def configured(network: str, headers: str = 'headers = { Authorization = "Bearer hush" }') -> str:
    return READERS.format(url=URL, network=network, gated=GATED, headers=headers)


@pytest.fixture(scope="module")
def shared(shared_origin: Origin, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mirror]:
    """A mirror of two processes that has an archive of both hosts."""
    shared_origin.add(KEPT, CONTENT)
    data = tmp_path_factory.mktemp("rights") / "data"
    data.mkdir()
    (data / "mirror.toml").write_text(configured("10.1.0.0/16"))
    upstreams = {host: [shared_origin.url] for host in (HOST, GATED)}
    with Mirror(data, workers=2, upstreams=upstreams, token=TOKEN, grace=1) as mirror:
        for host in (HOST, GATED):
            assert mirror.get(f"/{host}{KEPT}").body == CONTENT
        until(lambda: len(workers(mirror)) == 1)
        yield mirror


@pytest.fixture
def each(shared: Mirror) -> Iterator[tuple[Wire, Wire]]:
    """A connection to the process that does not fill, and one to that which does."""
    with at(shared, worker=True) as worker, at(shared, worker=False) as first:
        yield worker, first


def got(wire: Wire, host: str, *fields: str, path: str = KEPT, method: str = "GET") -> tuple[int, dict[str, str], bytes]:
    return whole(wire, raw_request(f"/{host}{path}", *fields, method=method))


@pytest.mark.parametrize(("host", "reader"), [(HOST, INSIDE), (GATED, HERE)], ids=["readers", "credentials"])
def test_only_readers_have_it(each: tuple[Wire, Wire], shared_origin: Origin, host: str, reader: str) -> None:
    """Nobody else, also on a connection that a reader had it on, from memory, in part, as a head; nor is it told what is there."""
    asked = len(shared_origin.requests)
    for method, more in product(("GET", "HEAD"), ((), ("Range: bytes=5-9",))):
        has, has_again = [got(wire, host, reader, *more, method=method) for wire in each], got(each[0], host, reader, *more, method=method)
        assert has[0] == has[1] == has_again
        assert (has[0][0], has[0][1]["cache-control"]) == (206 if more and method == "GET" else 200, "private")
        refused = [got(wire, host, OUTSIDE, *more, path=path, method=method) for wire in each for path in (KEPT, NEVER)]
        assert [status for status, _, _ in refused] == [403] * 4
        assert all(answer == refused[0] for answer in refused)
    assert got(each[0], host, reader)[2] == CONTENT
    assert len(shared_origin.requests) == asked


def test_who_may_change(shared: Mirror, each: tuple[Wire, Wire]) -> None:
    """The token counts from everywhere, the key of the data folder beside the mirror only, whichever process is asked."""
    key, beside = f"Authorization: {shared.key['Authorization']}", "X-Dataset-Mirror: 1"
    for fields, status in (
        ((key, beside), 200),
        ((key,), 403),
        ((key, beside, INSIDE), 403),
        (("Authorization: Bearer wrong", beside), 403),
        ((f"Authorization: Bearer {TOKEN}",), 200),
        ((f"Authorization: Bearer {TOKEN}", OUTSIDE), 200),
        ((f"Authorization: Bearer {TOKEN}", "Sec-Fetch-Site: cross-site", "Origin: https://elsewhere.example.com"), 403),
        ((), 403),
    ):
        typed = ("Content-Type: application/json", "Content-Length: 2")
        answers = [whole(wire, raw_request("/api/reload", *typed, *fields, method="POST") + b"{}") for wire in each]
        assert answers[0] == answers[1]
        assert answers[0][0] == status, answers[0]


def test_other_readers(shared: Mirror, each: tuple[Wire, Wire]) -> None:
    """After SIGHUP they count in all processes, on connections that were there before; what was fetched with credentials stays gated."""
    for wire in each:
        assert got(wire, HOST, INSIDE)[2] == CONTENT
    file = shared.data / "mirror.toml"
    before = file.read_text()
    try:
        file.write_text(configured("10.9.0.0/16", headers=""))
        shared.signal(signal.SIGHUP)
        until(lambda: got(each[0], HOST, INSIDE)[0] == 403)
        for wire in each:
            assert (got(wire, HOST, INSIDE)[0], got(wire, HOST, OUTSIDE)[2]) == (403, CONTENT)
            assert (got(wire, GATED, OUTSIDE)[0], got(wire, GATED, HERE)[2]) == (403, CONTENT)
    finally:
        file.write_text(before)
        assert shared.api("reload").status == 200
    for wire in each:
        assert (got(wire, HOST, INSIDE)[2], got(wire, HOST, OUTSIDE)[0]) == (CONTENT, 403)
