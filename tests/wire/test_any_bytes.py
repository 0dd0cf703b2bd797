"""Whatever bytes clients send, in whatever slices, they are requests or refused."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dataset_mirror.errors import BadRequest, MirrorError, NotImplementedHere
from dataset_mirror.wire.parsing import Head, Parser


@dataclass
class Told:
    """What a parser tells of what it was fed, the parts of a body put together."""

    events: list[tuple[object, ...]] = field(default_factory=list)

    def head(self, head: Head) -> None:
        self.events.append(("head", head.method, head.target, head.version, tuple(head.fields), head.keep_alive))

    def part(self, data: bytes) -> None:
        if self.events and self.events[-1][0] == "part":
            data = bytes(self.events.pop()[1]) + data  # type: ignore[call-overload]
        self.events.append(("part", data))

    def end(self) -> None:
        self.events.append(("end",))


def fed(slices: list[bytes]) -> list[tuple[object, ...]]:
    """All that comes of these slices, with the refusal or the tunnel that ends it."""
    told = Told()
    parser = Parser(told)
    for number, data in enumerate(slices):
        try:
            behind = parser.feed(data)
        except MirrorError as refusal:
            # The parser stops at the first byte that no method has, so that an unknown one may be told only if it comes in one slice.
            return [*told.events, ("refused", 400 if isinstance(refusal, NotImplementedHere) else refusal.status)]
        if behind is not None:
            return [*told.events, ("tunnel", behind + b"".join(slices[number + 1 :]))]
    return told.events


PIECES = (
    *(b"GET ", b"POST ", b"CONNECT ", b"HEAD ", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"FETCH ", b"get "),
    *(
        b"/a",
        b"/" + b"x" * 9000,
        b"http://h/a",
        b"h:443",
        b"*",
        b" HTTP/1.1\r\n",
        b" HTTP/1.0\r\n",
        b" HTTP/2.0\r\n",
        b" HTTP/1.1\n",
        b"\r\n",
        b"\n",
    ),
    *(b"Host: h\r\n", b"Host : h\r\n", b"A: " + b"y" * 70_000 + b"\r\n", b"A: b\r\n" * 201, b" folded\r\n", b"A\r\n", b": b\r\n"),
    *(b"Content-Length: 5\r\n", b"Content-Length: -1\r\n", b"Content-Length: 99999999999999999999999\r\n", b"Content-Length: 5, 5\r\n"),
    *(
        b"Transfer-Encoding: chunked\r\n",
        b"Transfer-Encoding: gzip\r\n",
        b"Connection: close\r\n",
        b"Connection: Upgrade\r\n",
        b"Upgrade: h2c\r\n",
    ),
    *(
        b"Expect: 100-continue\r\n",
        b"5\r\n12345\r\n",
        b"0\r\n\r\n",
        b"zz\r\n",
        b"5;x=y\r\n",
        b"ffffffffffffffff1\r\n",
        b"12345",
        b"\x00",
        b"\xff",
        b"\x16\x03\x01",
    ),
)
WHOLE = b"GET /a HTTP/1.1\r\nHost: h\r\n\r\n"


@st.composite
def sliced(draw: st.DrawFn) -> tuple[bytes, list[bytes]]:
    """Bytes, mostly much like requests, and the same cut into slices."""
    pieces = draw(st.lists(st.one_of(st.sampled_from([*PIECES, WHOLE]), st.binary(max_size=20)), max_size=12))
    data = b"".join(pieces)
    cuts = sorted(draw(st.sets(st.integers(0, len(data)), max_size=8)))
    return data, [data[a:b] for a, b in zip([0, *cuts], [*cuts, len(data)], strict=True) if a < b]


@settings(max_examples=150, deadline=None)
@given(sliced())
def test_any_bytes_in_any_slices(given_: tuple[bytes, list[bytes]]) -> None:
    """Bytes are understood or refused, never anything else, and however they are sliced."""
    data, slices = given_
    assert fed(slices) == fed([data] if data else [])


@settings(max_examples=40, deadline=None)
@example(b"")
@given(st.binary(max_size=200))
def test_any_bytes_one_by_one(data: bytes) -> None:
    """The same of bytes that come one by one, behind a whole request."""
    whole = WHOLE + data
    assert fed([bytes([octet]) for octet in whole]) == fed([whole])


def test_garbage_behind_a_request() -> None:
    """Garbage behind a request is malformed; the method of the request before it is not said to be unknown."""
    assert fed([WHOLE + b"\x00"])[-1] == ("refused", 400)
    with pytest.raises(BadRequest):
        Parser(Told()).feed(WHOLE + b"\x00")
