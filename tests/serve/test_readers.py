"""Gated data: credentials go to their origin only, and what they bring only to its readers."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.conftest import StartMirror
from tests.origin import Origin, body
from tests.serving import HOST, PATIENCE, URL, Answer, Mirror

SECRET = "hush-4711-hush"
CDN = "cdn.example.org"
DATA = body(200_000, 5)
INSIDE, OUTSIDE = {"X-Forwarded-For": "10.1.2.3"}, {"X-Forwarded-For": "10.9.9.9"}
GATED = {"url": URL, "paths": ["/sets/"], "redirects_to": [CDN], "headers": {"Authorization": f"Bearer {SECRET}"}}


@pytest.fixture(scope="module")
def cdn() -> Iterator[Origin]:
    """Another host, to which the gated origin redirects."""
    with Origin() as running:
        yield running


@pytest.fixture(scope="module")
def gated(start_shared_mirror: StartMirror, shared_origin: Origin, cdn: Origin) -> Mirror:
    """A mirror with credentials and readers, behind a proxy on this machine."""
    return start_shared_mirror(
        origins=[{**GATED, "readers": ["10.1.0.0/16"]}],
        upstreams={HOST: [shared_origin.url], CDN: [cdn.url]},
        forwarded_allow_ips=["127.0.0.1"],
    )


@pytest.fixture(scope="module")
def alone(start_shared_mirror: StartMirror) -> Mirror:
    """A mirror with credentials, without readers and without a proxy."""
    return start_shared_mirror(origins=[GATED])


def ask(mirror: Mirror, path: str, fields: dict[str, str], method: str = "GET") -> Answer:
    return mirror.get(path, method, fields)


def test_a_redirect_away_does_not_carry_credentials(gated: Mirror, shared_origin: Origin, cdn: Origin) -> None:
    """The origin gets its headers, at first and when a redirect comes back; the host in between gets none."""
    shared_origin.add("/sets/away.bin", b"", redirect=f"https://{CDN}/via.bin")
    cdn.add("/via.bin", b"", redirect=f"{URL}/sets/home.bin")
    shared_origin.add("/sets/home.bin", DATA)
    assert ask(gated, f"/{HOST}/sets/away.bin", INSIDE).body == DATA
    seen = [server.gets(path)[0].header("authorization") for server, path in ((shared_origin, "/sets/away.bin"), (cdn, "/via.bin"))]
    assert seen == [f"Bearer {SECRET}", None]
    assert shared_origin.gets("/sets/home.bin")[0].header("authorization") == f"Bearer {SECRET}"


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize(
    "fields",
    [
        pytest.param(OUTSIDE, id="another network"),
        pytest.param({"X-Forwarded-For": "10.1.2.3, 10.9.9.9"}, id="forged left end"),
        pytest.param({"X-Forwarded-For": "127.0.0.1"}, id="loopback is the proxy"),
        pytest.param({"X-Forwarded-For": "nonsense"}, id="unparsable"),
        pytest.param({"X-Forwarded-For": "10.9.9.9", "Forwarded": "for=10.1.2.3"}, id="fields that disagree"),
        pytest.param({"X-Real-IP": "10.1.2.3"}, id="X-Real-IP alone"),
        pytest.param({}, id="this machine is not among the readers"),
    ],
)
def test_who_is_no_reader(gated: Mirror, shared_origin: Origin, fields: dict[str, str], method: str) -> None:
    """403, stored or not, and no fill is started; the refusal does not tell whether the archive is there."""
    shared_origin.add("/sets/kept.bin", DATA)
    shared_origin.add("/sets/never.bin", DATA)
    assert ask(gated, f"/{HOST}/sets/kept.bin", INSIDE).body == DATA
    kept, never = (ask(gated, f"/{HOST}/sets/{name}.bin", fields, method) for name in ("kept", "never"))
    assert (kept.status, never.status, kept.body) == (403, 403, never.body)
    assert shared_origin.gets("/sets/never.bin") == shared_origin.heads("/sets/never.bin") == []
    assert ask(gated, f"/sha256/{HOST}/sets/kept.bin", fields).status == 403


@pytest.mark.parametrize("fields", [INSIDE, {"Forwarded": 'for="10.1.2.3:4711";proto=http'}, {"X-Forwarded-For": "10.9.9.9, 10.1.2.3"}])
def test_who_is_a_reader(gated: Mirror, shared_origin: Origin, fields: dict[str, str]) -> None:
    """A reader gets archive, head and digest, marked so that no cache in front shares them."""
    shared_origin.add("/sets/mine.bin", DATA, headers={"Cache-Control": "public, max-age=9", "CDN-Cache-Control": "public"})
    for path, method in ((f"/{HOST}/sets/mine.bin", "GET"), (f"/{HOST}/sets/mine.bin", "HEAD"), (f"/sha256/{HOST}/sets/mine.bin", "GET")):
        answer = ask(gated, path, fields, method)
        assert (answer.status, answer.fields.get_all("cache-control"), answer.fields["cdn-cache-control"]) == (200, ["private"], None)


def test_a_follower_of_a_fill(gated: Mirror, shared_origin: Origin) -> None:
    """While a fill runs, who is no reader is refused like ever."""
    shared_origin.add("/sets/slow.bin", DATA, stall_after=150_000)
    import http.client

    reader = http.client.HTTPConnection("127.0.0.1", gated.port, timeout=PATIENCE)
    reader.request("GET", f"/{HOST}/sets/slow.bin", headers=INSIDE)
    assert len(reader.getresponse().read(1000)) == 1000
    assert ask(gated, f"/{HOST}/sets/slow.bin", OUTSIDE).status == 403
    reader.close()


def test_without_readers(alone: Mirror, shared_origin: Origin) -> None:
    """Credentials without `readers`: this machine only, and nobody who was forwarded, for no proxy is trusted."""
    shared_origin.add("/sets/alone.bin", DATA)
    assert alone.archive("/sets/alone.bin").body == DATA
    for fields in (INSIDE, {"Forwarded": "for=127.0.0.1"}, {"X-Forwarded-For": "127.0.0.1"}, {"X-Real-IP": "127.0.0.1"}):
        assert ask(alone, f"/{HOST}/sets/alone.bin", fields).status == 403


def test_private_for_ever(start_mirror: StartMirror, origin: Origin) -> None:
    """What was fetched with credentials stays for readers when the headers are taken out of the configuration."""
    origin.add("/sets/once.bin", DATA)
    mirror = start_mirror(origins=[GATED])
    assert mirror.archive("/sets/once.bin").status == 200
    mirror._settings["origins"] = [{"url": URL, "paths": ["/sets/"]}]
    mirror.restart()
    assert (mirror.archive("/sets/once.bin").status, ask(mirror, f"/{HOST}/sets/once.bin", OUTSIDE).status) == (200, 403)
    for path, method in ((f"/sha256/{HOST}/sets/once.bin", "GET"), (f"/{HOST}/sets/once.bin", "HEAD")):
        assert ask(mirror, path, OUTSIDE, method).status == 403


def test_secrets_are_never_shown(start_mirror: StartMirror, origin: Origin) -> None:
    """Neither the log at its most talkative, nor a page, nor a problem has a header's value, even if the origin repeats it."""
    origin.add("/sets/good.bin", DATA)
    origin.add("/sets/no.bin", b"", status=401, status_body=f"who is Bearer {SECRET}?".encode())
    mirror = start_mirror(origins=[GATED])
    mirror.restart("--log-level", "debug")
    said = [mirror.archive(f"/sets/{name}.bin") for name in ("good", "no")]
    assert [answer.status for answer in said] == [200, 401]
    assert origin.gets("/sets/no.bin")[0].header("authorization") == f"Bearer {SECRET}"
    shown = [said[1].body, *(mirror.get(path).body for path in ("/", "/status", "/metrics", "/openapi.json"))]
    assert SECRET not in mirror.log + b"".join(shown).decode() + json.dumps(mirror.status)


def test_a_private_archive_has_no_name_in_the_tree(alone: Mirror, shared_origin: Origin) -> None:
    """Whoever shares the folder `tree/` does not ask who reads it: private archives are left out."""
    shared_origin.add("/sets/untold.bin", DATA)
    assert alone.archive("/sets/untold.bin").status == 200
    assert not list((alone.data / "tree").rglob("untold.bin"))
