"""Where redirects lead, for upstreams with and without a path, and what goes along."""

from __future__ import annotations

import pytest

from dataset_mirror.errors import FillFailed, NotAllowed
from tests.fetch.asking import CDN, PATH, asking
from tests.origin import Origin, body
from tests.serving import HOST

DATA = body(1000)
SOMEWHERE = [
    ("../else/b.bin", "/else/b.bin"),
    ("b.bin", "/sets/b.bin"),
    ("./b.bin?x=1", "/sets/b.bin?x=1"),
    (f"https://{HOST}/else/b.bin", "/else/b.bin"),
    (f"//{HOST}/else/b.bin", "/else/b.bin"),
    (f"https://{HOST.upper()}:443/else/b.bin#part", "/else/b.bin"),
    ("?token=1", "/sets/a.bin?token=1"),
]


@pytest.mark.parametrize("base", ["", "/h", "/deep/h"])
@pytest.mark.parametrize(("location", "target"), SOMEWHERE)
async def test_a_redirect_is_of_what_was_really_asked(origin: Origin, base: str, location: str, target: str) -> None:
    """Relative to the URL that was asked, or naming the origin: it leads below the upstream's own base."""
    origin.add(base + PATH, b"", redirect=location)
    origin.add(base + target, DATA)
    async with asking(origin.url + base) as ours:
        assert await ours.read() == DATA
    assert [request.target for request in origin.requests] == [base + PATH, base + target]


@pytest.mark.parametrize(
    "location", ["/h/else/b.bin", "{url}/h/else/b.bin", "//{netloc}/h/else/b.bin", "/outside/b.bin", "{url}/outside/b.bin"]
)
async def test_an_upstream_knows_its_own_paths(origin: Origin, location: str) -> None:
    """What an upstream says of itself, with or without its name, is asked of it as it says it, below its base or not."""
    target = "/outside/b.bin" if "outside" in location else "/h/else/b.bin"
    origin.add(f"/h{PATH}", b"", redirect=location.format(url=origin.url, netloc=origin.url.removeprefix("http://")))
    origin.add(target, DATA)
    async with asking(f"{origin.url}/h") as ours:
        assert await ours.read() == DATA
    assert origin.requests[-1].target == target


async def test_relative_after_a_redirect_elsewhere(origin: Origin) -> None:
    """Each hop is resolved against the one before it, at whichever upstream that was."""
    origin.add(f"/h{PATH}", b"", redirect=f"https://{CDN}/one/x.bin?sign=1")
    origin.add("/cdn/one/x.bin", b"", redirect="../two/y.bin")
    origin.add("/cdn/two/y.bin", DATA)
    async with asking(f"{origin.url}/h", upstreams={HOST: [f"{origin.url}/h"], CDN: [f"{origin.url}/cdn"]}) as ours:
        assert await ours.read() == DATA
    assert [request.target for request in origin.requests] == [f"/h{PATH}", "/cdn/one/x.bin?sign=1", "/cdn/two/y.bin"]


async def test_a_redirect_to_a_listed_upstream(origin: Origin) -> None:
    """One upstream of an origin may redirect to another one that the operator wrote down."""
    with Origin() as other:
        origin.add(f"/h{PATH}", b"", redirect=f"{other.url}/m/else/b.bin")
        other.add("/m/else/b.bin", DATA)
        async with asking(f"{origin.url}/h", f"{other.url}/m") as ours:
            assert await ours.read() == DATA


async def test_an_upstream_that_names_the_origin_goes_on_itself(origin: Origin) -> None:
    """The second upstream, whose answer redirects to the origin's own URL, is asked for that as well."""
    with Origin() as second:
        origin.add(PATH, b"", status=404)
        second.add(f"/h{PATH}", b"", redirect=f"https://{HOST}/sets/b.bin")
        second.add("/h/sets/b.bin", DATA)
        async with asking(origin.url, f"{second.url}/h") as ours:
            assert await ours.read() == DATA
    assert not origin.gets("/sets/b.bin")


@pytest.mark.parametrize("location", ["https://else.example.org/b.bin", "//else.example.org/b.bin", "http://127.0.0.1:9/b.bin"])
async def test_nowhere_else(origin: Origin, location: str) -> None:
    """An upstream with a path is held to the origin's list of hosts like any other."""
    origin.add(f"/h{PATH}", b"", redirect=location)
    async with asking(f"{origin.url}/h") as ours:
        assert isinstance(await ours.refusal(), NotAllowed)
    assert len(origin.requests) == 1


async def test_an_empty_location_is_a_loop(origin: Origin) -> None:
    """A redirect to nothing is one to itself: five are followed, then it is a 502."""
    origin.add(f"/h{PATH}", b"", redirect="")
    async with asking(f"{origin.url}/h") as ours:
        assert isinstance(await ours.refusal(), FillFailed)
    assert {request.target for request in origin.requests} == {f"/h{PATH}"}


def _cookies(origin: Origin, path: str) -> str | None:
    return origin.gets(path)[-1].header("cookie")


@pytest.mark.parametrize("rest", ["Path=/", f"Path=/; Domain={HOST}; Secure; HttpOnly", "Path=/sets", ""])
async def test_cookies_of_a_redirect_go_with_the_next_hops(origin: Origin, rest: str) -> None:
    """A cookie that a redirect sets goes with all further hops of that request, and with no other request."""
    origin.add(PATH, b"", redirect="b.bin", headers={"Location": "b.bin", "Set-Cookie": f"id=1; {rest}"})
    origin.add("/sets/b.bin", b"", redirect="c.bin")
    origin.add("/sets/c.bin", DATA)
    async with asking(origin.url) as ours:
        assert await ours.read() == DATA
        assert [_cookies(origin, path) for path in (PATH, "/sets/b.bin", "/sets/c.bin")] == [None, "id=1", "id=1"]
        assert await ours.read("/sets/c.bin") == DATA
        assert _cookies(origin, "/sets/c.bin") is None


@pytest.mark.parametrize("rest", ["Path=/other", "Domain=example.com", "Path=/; Max-Age=0"])
async def test_cookies_for_elsewhere_stay_away(origin: Origin, rest: str) -> None:
    """A cookie for another path or domain, or one that is over, does not go along."""
    origin.add(PATH, b"", redirect="b.bin", headers={"Location": "b.bin", "Set-Cookie": f"id=1; {rest}"})
    origin.add("/sets/b.bin", DATA)
    async with asking(origin.url) as ours:
        assert await ours.read() == DATA
    assert _cookies(origin, "/sets/b.bin") is None


async def test_cookies_do_not_leave_their_host(origin: Origin) -> None:
    """The host that a redirect leads to gets no cookie of the one that sent it there, though one upstream stands for both."""
    origin.add(PATH, b"", redirect=f"https://{CDN}/b.bin", headers={"Location": f"https://{CDN}/b.bin", "Set-Cookie": "id=1; Path=/"})
    origin.add("/b.bin", DATA)
    async with asking(origin.url, upstreams={HOST: [origin.url], CDN: [origin.url]}) as ours:
        assert await ours.read() == DATA
    assert _cookies(origin, "/b.bin") is None


async def test_a_cookie_may_have_any_bytes(origin: Origin) -> None:
    """One with bytes beyond ASCII goes back as it came."""
    origin.add(PATH, b"", redirect="b.bin", headers={"Location": "b.bin", "Set-Cookie": "id=caf\xe9; Path=/"})
    origin.add("/sets/b.bin", DATA)
    async with asking(origin.url) as ours:
        assert await ours.read() == DATA
    assert _cookies(origin, "/sets/b.bin") == "id=caf\xe9"


async def test_cookies_join_the_operators(origin: Origin) -> None:
    """A cookie among the origin's `headers` goes along with that of a redirect."""
    origin.add(PATH, b"", redirect="b.bin", headers={"Location": "b.bin", "Set-Cookie": "id=1; Path=/"})
    origin.add("/sets/b.bin", DATA)
    known = {"url": f"https://{HOST}", "paths": ["/sets/"], "headers": {"cookie": "key=2"}}
    async with asking(origin.url, origins=[known]) as ours:
        assert await ours.read() == DATA
    assert _cookies(origin, "/sets/b.bin") == "key=2; id=1"
