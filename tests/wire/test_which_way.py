"""Which answers need no app, and which always do: of a mirror whose app says so in each answer of its own."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest

from tests.doors.intercepting import asked, secured
from tests.origin import Origin, body
from tests.serving import HOST, URL, Mirror, mirroring
from tests.wire.test_hot import DATA, GATEWAY, LARGE, LARGE_PATH, PATH, Client
from tests.wire.test_protocol import Wire

GATED = "gated.example.org"
PROGRAM = f"""#!{sys.executable}
from dataset_mirror import main
from dataset_mirror.cli import main as program

observed = main.observed

def marked(*parts):
    app = observed(*parts)

    async def answer(scope, receive, send):
        async def send_marked(message):
            if message["type"] == "http.response.start":
                message = message | {{"headers": [*message["headers"], (b"x-way", b"app")]}}
            await send(message)

        await app(scope, receive, send_marked)

    return answer

main.observed = marked
program()
"""
FIELDS = {
    "whole": "",
    "a range": "Range: bytes=100-2099\r\n",
    "a range too far": "Range: bytes=99999999-\r\n",
    "not modified": 'If-None-Match: "x"\r\n',
    "a failed condition": 'If-Match: "y"\r\n',
    "another version": 'If-Range: "y"\r\nRange: bytes=0-9\r\n',
}
BOTH = pytest.mark.parametrize("path", [PATH, LARGE_PATH], ids=["small", "large"])


@pytest.fixture(scope="module")
def marked(shared_origin: Origin, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mirror]:
    """It has both archives, and that of an origin which needs credentials."""
    folder = tmp_path_factory.mktemp("marked")
    program = folder / "program"
    program.write_text(PROGRAM)
    program.chmod(0o700)
    mirror = mirroring(
        shared_origin,
        folder / "data",
        origins=[{"url": URL, "paths": ["/sets/"]}, {"url": f"https://{GATED}", "paths": ["/sets/"], "headers": {"Authorization": "x"}}],
        upstreams={HOST: [shared_origin.url], GATED: [shared_origin.url]},
    )
    mirror.program = str(program)
    for path, data in ((PATH, DATA), (LARGE_PATH, LARGE)):
        shared_origin.add(path, data, etag='"x"')
    with mirror:
        ask_for_both(mirror)
        yield mirror


def ask_for_both(mirror: Mirror) -> None:
    """Twice each: after its start and after a reload the app is asked once for each archive."""
    with Client(mirror) as client:
        for path, data in ((PATH, DATA), (LARGE_PATH, LARGE)):
            for _ in range(2):
                assert client.ask(f"/{HOST}{path}")[1] == data


def needs_app(head: bytes) -> bool:
    return b"x-way: app\r\n" in head


@pytest.mark.parametrize("fields", FIELDS.values(), ids=FIELDS)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
@BOTH
def test_hits_need_no_app(marked: Mirror, path: str, method: str, fields: str) -> None:
    """Whatever part of an archive that was asked for before, and whatever comes out of the conditions; byte for byte as by the app."""
    with Client(marked) as client:
        for _ in range(3):
            past = client.ask(f"/{HOST}{path}", fields=fields, method=method)
            assert not needs_app(past[0])
        by_app = client.ask(f"/{HOST}{path}", fields=fields + GATEWAY, method=method)
    assert needs_app(by_app[0])
    assert past[1] == by_app[1]


def test_what_else_is_asked_needs_it(marked: Mirror) -> None:
    """Pages, other methods, archives that nobody has, a body along with the request, and the last request of a connection."""
    with Client(marked) as client:
        for asked_for in (
            {"target": "/healthz"},
            {"target": f"/{HOST}/sets/none.bin"},
            {"method": "POST", "fields": "Content-Length: 0\r\n"},
            {"fields": "Content-Length: 0\r\n"},
            {"fields": "Connection: close\r\n"},
        ):
            assert needs_app(client.ask(**asked_for)[0]), asked_for


@BOTH
def test_restricted_archives_always_need_it(marked: Mirror, path: str) -> None:
    """What an origin gives for credentials only is never answered without asking who may have it."""
    with Client(marked) as client:
        for method in ("GET", "HEAD"):
            for fields in ("", "Range: bytes=0-9\r\n", 'If-None-Match: "x"\r\n') * 2:
                head, _ = client.ask(f"/{GATED}{path}", fields=fields, method=method)
                assert needs_app(head)
                assert head.split()[1] in {b"200", b"206", b"304"}


@BOTH
def test_what_is_pinned_needs_none(marked: Mirror, path: str) -> None:
    """A pin changes no byte, and nobody waits for it: the record is looked up once, and then again not."""
    with Client(marked) as client:
        for change in ("pin", "unpin"):
            assert marked.api(change, names=[URL + path]).status == 200
            head, content = client.ask(f"/{HOST}{path}", fields="Range: bytes=1-9\r\n")
            assert not needs_app(head)
            assert content == (DATA if path == PATH else LARGE)[1:10]


def in_tls(wire: Wire, path: str, *fields: str) -> tuple[bool, bytes]:
    """Whether the answer needed the app, and its body."""
    wire.send(asked(path, *fields))
    _, known = wire.head()
    return "x-way" in known, wire.body(int(known["content-length"]))


def test_in_tls_small_ones_need_none(marked: Mirror) -> None:
    """Inside a CONNECT what is in memory is answered at once."""
    with secured(marked) as wire:
        in_tls(wire, PATH)
        assert [in_tls(wire, PATH) for _ in range(3)] == [(False, DATA)] * 3
        assert in_tls(wire, PATH, "Range: bytes=5-9") == (False, DATA[5:10])


def test_in_tls_large_ones_need_it(marked: Mirror) -> None:
    """The kernel cannot encrypt a file: whole and in parts it goes by the app, in the midst of what does not."""
    with secured(marked) as wire:
        for _ in range(2):
            assert in_tls(wire, LARGE_PATH) == (True, LARGE)
            assert in_tls(wire, PATH)[1] == DATA
            assert in_tls(wire, LARGE_PATH, "Range: bytes=5-99999") == (True, LARGE[5:100_000])


@pytest.fixture
def offline(marked: Mirror) -> Iterator[Mirror]:
    """The same mirror without the world, for one test."""
    file = marked.data / "mirror.toml"
    file.write_text("offline = true")
    assert marked.api("reload").status == 200
    yield marked
    file.unlink()
    assert marked.api("reload").status == 200
    ask_for_both(marked)


def test_offline_hits_need_none(offline: Mirror, shared_origin: Origin) -> None:
    """From the second request on, large and small, without a word to the origin; what is not there needs the app."""
    before = len(shared_origin.requests)
    with Client(offline) as client:
        for path, data in ((PATH, DATA), (LARGE_PATH, LARGE)):
            client.ask(f"/{HOST}{path}")
            head, content = client.ask(f"/{HOST}{path}")
            assert not needs_app(head)
            assert content == data
            assert not needs_app(client.ask(f"/{HOST}{path}", fields="Range: bytes=0-9\r\n")[0])
        assert needs_app(client.ask(f"/{HOST}/sets/none.bin")[0])
    assert len(shared_origin.requests) == before


def test_a_version_that_comes_needs_it_once(marked: Mirror, shared_origin: Origin) -> None:
    """New bytes, fetched by a command, are answered by the app at first, and then without it."""
    path, old, new = "/sets/changing.bin", body(3_000_000, 1), body(3_000_000, 2)
    shared_origin.add(path, old, etag='"1"')
    with Client(marked) as client:
        for _ in range(3):
            assert client.ask(f"/{HOST}{path}")[1] == old
        shared_origin.change(path, body=new, etag='"2"')
        assert marked.api("rm", archives=[URL + path]).status == 200
        answers = [client.ask(f"/{HOST}{path}") for _ in range(3)]
    assert [needs_app(head) for head, _ in answers] == [True, True, False]
    assert [content for _, content in answers] == [new] * 3
