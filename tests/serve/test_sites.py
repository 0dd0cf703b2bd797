"""Gated bytes and pages of other sites: forged names, Fetch Metadata, and a real browser."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.conftest import StartMirror
from tests.origin import Origin, body
from tests.serving import HOST, URL, Mirror
from tests.status.browser import needs_browser, rendered

DATA = body(50_000, 7)
OPEN = "open.example.org"
OUR_NAMES = ["127.0.0.1", "localhost:1", "[::1]", "192.0.2.7:8080", "mirror.lab", "Mirror.LAB.:80", socket.gethostname()]


@pytest.fixture(scope="module")
def gated(start_shared_mirror: StartMirror, shared_origin: Origin) -> Mirror:
    """A mirror of a gated origin whose readers are on this machine, and of an open one."""
    generous = {"Access-Control-Allow-Origin": "*", "Cross-Origin-Resource-Policy": "cross-origin", "Content-Type": "text/plain"}
    shared_origin.add("/sets/gated.bin", DATA, headers=generous)
    shared_origin.add("/open/a.bin", DATA, headers=generous)
    origins = [{"url": URL, "paths": ["/sets/"], "readers": ["127.0.0.0/8"]}, {"url": f"https://{OPEN}", "paths": ["/open/"]}]
    return start_shared_mirror(
        origins=origins, upstreams={HOST: [shared_origin.url], OPEN: [shared_origin.url]}, public_url="http://mirror.lab:8080"
    )


def status(mirror: Mirror, fields: dict[str, str], path: str = f"/{HOST}/sets/gated.bin") -> int:
    return mirror.get(path, fields=fields).status


@pytest.mark.parametrize(
    "name", ["attacker.example", "attacker.example:8080", "localhost.attacker.example", "mirror.lab.attacker.example", "x@127.0.0.1.evil"]
)
def test_a_foreign_name(gated: Mirror, name: str) -> None:
    """A name that is neither the mirror's nor the origin's gets nothing that is gated, though it resolves to us."""
    assert status(gated, {"Host": name}) in (400, 403)
    assert status(gated, {"Host": name}, f"/sha256/{HOST}/sets/gated.bin") in (400, 403)
    assert status(gated, {"Host": name}, f"/{OPEN}/open/a.bin") in (200, 400)


@pytest.mark.parametrize("name", OUR_NAMES)
def test_our_own_names(gated: Mirror, name: str) -> None:
    """Addresses, loopback names, the machine's name and that of `public_url` are ours."""
    assert status(gated, {"Host": name}) == 200


def test_the_origins_name(gated: Mirror) -> None:
    """A client that uses the mirror as the origin itself, or as its proxy, names the origin."""
    assert status(gated, {"Host": HOST}, "/sets/gated.bin") == 200


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "iframe"}, 403),
        ({"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}, 200),
        ({"Sec-Fetch-Site": "same-origin"}, 200),
        ({"Sec-Fetch-Site": "none"}, 200),
        ({"Origin": "http://attacker.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://["}, 403),
        ({"Origin": "http://mirror.lab:8080", "Host": "mirror.lab:8080"}, 200),
    ],
)
def test_what_browsers_say(gated: Mirror, fields: dict[str, str], expected: int) -> None:
    """What a page of another site asks for is refused; what a person opens, or our own page asks for, is not."""
    assert status(gated, fields) == expected
    assert status(gated, fields, f"/{OPEN}/open/a.bin") == 200


ASKED: dict[str, tuple[str, dict[str, str], str]] = {
    "a part": (f"/{HOST}/sets/gated.bin", {"Range": "bytes=100-199"}, "GET"),
    "the last bytes": (f"/{HOST}/sets/gated.bin", {"Range": "bytes=-1"}, "GET"),
    "the head": (f"/{HOST}/sets/gated.bin", {}, "HEAD"),
    "whether it changed": (f"/{HOST}/sets/gated.bin", {"If-None-Match": "*"}, "GET"),
    "whether it changed since": (f"/{HOST}/sets/gated.bin", {"If-Modified-Since": "Fri, 01 Jan 2100 00:00:00 GMT"}, "HEAD"),
    "its digest": (f"/sha256/{HOST}/sets/gated.bin", {}, "GET"),
    "a script": (f"/{HOST}/sets/gated.bin", {"Service-Worker": "script", "Sec-Fetch-Dest": "serviceworker"}, "GET"),
    "another way of writing": (f"/https://{HOST.upper()}.:443/sets/%67ated.bin", {}, "GET"),
    "what nobody has": (f"/{HOST}/sets/none.bin", {}, "GET"),
}


@pytest.mark.parametrize(
    "foreign", [{"Host": "attacker.example"}, {"Sec-Fetch-Site": "cross-site"}, {"Origin": "https://attacker.example"}]
)
@pytest.mark.parametrize("asked", ASKED)
def test_no_way_to_gated_bytes(gated: Mirror, asked: str, foreign: dict[str, str]) -> None:
    """Neither bytes, nor their digest, nor whether they are there or changed is told to another site, however it asks."""
    assert status(gated, {}) == 200
    path, fields, method = ASKED[asked]
    answer = gated.get(path, method, fields=fields | foreign)
    assert answer.status in (307, 308, 400, 403), answer.fields
    assert not {"etag", "content-range", "last-modified", "repr-digest"} & {name for name, value in answer.fields.items() if value}


@pytest.mark.parametrize(
    "page", ["/keras-home.tar", f"/status/explain?url={URL}/sets/gated.bin", f"/{HOST}/sets/", "/status/archives", "/"]
)
def test_pages_have_no_gated_bytes(gated: Mirror, page: str) -> None:
    """Whatever pages tell of a gated archive to another site, they have none of its bytes."""
    assert status(gated, {}) == 200
    for foreign in ({"Host": "attacker.example"}, {"Sec-Fetch-Site": "cross-site"}):
        assert DATA[:64] not in gated.get(page, fields=foreign).body


def test_what_browsers_are_told(gated: Mirror) -> None:
    """A restricted answer is for its own site alone, whatever its origin says."""
    told = gated.archive("/sets/gated.bin").fields
    assert (told["cross-origin-resource-policy"], told["access-control-allow-origin"]) == ("same-origin", None)


@pytest.fixture
def attacker(gated: Mirror) -> Iterator[str]:
    """A site whose page tries to read an archive in all the ways that a page has; the result is in its title."""
    archive = json.dumps(f"http://127.0.0.1:{gated.port}/{HOST}/sets/gated.bin")
    script = f"""
      const tried = [fetch({archive}).then(a => a.text()).then(t => 'read ' + t.length).catch(() => 'refused'),
        fetch({archive}, {{mode: 'no-cors'}}).then(a => a.text()).then(t => 'read ' + t.length).catch(() => 'refused'),
        new Promise(done => {{ const s = document.createElement('script'); s.src = {archive};
          s.onload = () => done('loaded'); s.onerror = () => done('refused'); document.body.append(s); }})];
      Promise.all(tried).then(said => document.title = said.join());"""
    page = f"<!DOCTYPE html><title>waiting</title><body><script>{script}</script>".encode()

    class Site(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(page)

        def log_message(self, *_: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Site) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://attacker.example:{server.server_port}/"
        server.shutdown()


@needs_browser
def test_a_page_of_another_site_in_a_browser(gated: Mirror, attacker: str, tmp_path: Path) -> None:
    """In a reader's Chromium, a page of another site reads no byte that is gated, by no way."""
    assert gated.archive("/sets/gated.bin").body == DATA
    resolving = "--host-resolver-rules=MAP attacker.example 127.0.0.1, MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"
    title = rendered(attacker, tmp_path, resolving).partition("<title>")[2].partition("</title>")[0]
    assert title in ("refused,refused,refused", "refused,read 0,refused")


@needs_browser
def test_a_rebound_name_in_a_browser(gated: Mirror, tmp_path: Path) -> None:
    """A name of another site that resolves to the mirror shows Chromium a refusal, not the archive."""
    resolving = "--host-resolver-rules=MAP attacker.example 127.0.0.1, MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"
    shown = rendered(f"http://attacker.example:{gated.port}/{HOST}/sets/gated.bin", tmp_path, resolving)
    assert "is not known as a name of this mirror" in shown
