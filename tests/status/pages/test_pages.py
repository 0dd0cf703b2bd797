"""The pages as any client gets them: whole without JavaScript, safe against whatever they show, and in nobody's way."""

from __future__ import annotations

import gzip
import http.client
import json
import os
from pathlib import Path
from urllib.parse import urlencode

import pytest

from dataset_mirror.status.assets import asset_path
from tests.conftest import StartMirror
from tests.origin import Origin, body
from tests.serving import HOST, PATIENCE, URL, Answer, Mirror
from tests.status.html import Element, check_accessible, loaded, read
from tests.status.streams import Viewer

DATA = body(100_000, 3)
ODD = "/sets/a%22b%27%3Cscript%3E.tar?x='&y=%3E"
TOKEN = "a-long-secret"
SECRET = "abcdef0123456789"
EVIL = b"<script>alert('x')</script>\"&"
PAGES = (
    "/",
    "/?span=month",
    "/datasets",
    "/datasets?q=mnist&state=missing",
    "/datasets/keras/mnist",
    "/archives",
    "/archives?sort=size&ascending=true",
    f"/archives?q=first&origin={HOST}&state=computed",
    f"/archives?prefix={HOST}/sets/",
    f"/archives/{HOST}/sets/first.bin",
    f"/archives/{HOST}{ODD}",
    f"/archives/{HOST}/sets/absent.bin",
    "/archives/elsewhere.example.org/a.zip",
    "/activity",
    "/activity?outcome=failed&minutes=60&q=403",
    "/origins",
    "/wanted",
    "/guide",
    "/status/act?what=rm&name=https://data.example.org/sets/first.bin",
    "/status/act?what=fetch&name=keras/mnist",
)


@pytest.fixture(scope="module")
def shared(start_shared_mirror: StartMirror, shared_origin: Origin) -> Mirror:
    """A mirror that has some archives, odd names among them, and refused one."""
    mirror = start_shared_mirror(token=TOKEN)
    for path in ("/sets/first.bin", ODD):
        shared_origin.add(path, DATA)
        assert mirror.archive(path).status == 200
    shared_origin.add("/sets/no.bin", DATA, status=403, status_body=EVIL)
    assert mirror.archive("/sets/no.bin").status == 403
    assert mirror.get("/unlisted.example.org/sets/%3Cscript%3E.zip").status == 403
    return mirror


@pytest.fixture(scope="module")
def empty(start_shared_mirror: StartMirror) -> Mirror:
    """An empty mirror without a network or a token; an origin of it has paths where pages are, and an archive with a secret in its URL."""
    taken = [{"url": URL, "paths": ["/sets/", "/datasets/", "/guide"]}]
    secret = [{"url": f"{URL}/sets/x.zip?token={SECRET}", "name": "sets/secret"}]
    return start_shared_mirror(origins=taken, archives=secret, offline=True)


def page(mirror: Mirror, path: str, status: int = 200) -> Element:
    """The page, read; it must be accessible."""
    answer = mirror.get(path, fields={"Accept": "text/html"})
    assert answer.status == status, answer.body
    found = read(answer.body)
    check_accessible(found)
    return found


def asked(mirror: Mirror, *hosts: str) -> Answer:
    """GET / with these Host fields."""
    connection = http.client.HTTPConnection("127.0.0.1", mirror.port, timeout=PATIENCE)
    try:
        connection.putrequest("GET", "/", skip_host=True)
        for host in hosts:
            connection.putheader("Host", host)
        connection.endheaders()
        response = connection.getresponse()
        return Answer(response.status, response.headers, response.read())
    finally:
        connection.close()


def commands(found: Element) -> list[str]:
    """What a page offers to copy."""
    return [code.text for pre in found.all("pre") for code in pre.all("code")]


def do(mirror: Mirror, what: str, name: str, token: str, status: int = 200) -> str:
    """What the page of an action says when its form is sent, as a browser without JavaScript does it."""
    form = urlencode({"what": what, "name": name, "token": token}).encode()
    answer = mirror.get("/status/act", "POST", {"Content-Type": "application/x-www-form-urlencoded"}, form)
    assert answer.status == status, answer.body
    found = read(answer.body)
    check_accessible(found)
    return found.one("main").text.replace("\N{NO-BREAK SPACE}", " ")


@pytest.mark.parametrize("path", PAGES)
def test_every_page(shared: Mirror, path: str) -> None:
    """It is accessible, loads our own files only, has no script or style inside, and links to nowhere but here."""
    found = page(shared, path)
    names = loaded(found)
    assert all(name.startswith("/static/") for name in names)
    assert not any(script.text for script in found.all("script"))
    assert not found.all("style")
    assert not [element for element in found.all() if any(name == "style" or name.startswith("on") for name in element.attributes)]
    assert b"alert('x')" not in shared.get(path).body
    assert all((link.attributes.get("href") or "#").startswith(("/", "#", "?", "https://")) for link in found.all("a"))


def test_links(shared: Mirror) -> None:
    """Every link of the overview leads somewhere in this mirror."""
    links = {(link.attributes["href"] or "").partition("#")[0] for link in page(shared, "/?refresh=0").all("a")} - {"", "?refresh=30"}
    assert {"/datasets", "/archives", "/activity", "/origins", "/wanted", "/guide", "/docs", "/status", "/metrics"} <= links
    assert "/mirrors" not in links
    assert shared.get("/mirrors").status == 403  # as any path that no origin lists
    for link in links:
        assert shared.get(link).status == 200, link


def test_fields(shared: Mirror) -> None:
    """No cache keeps a page, only our own scripts run in it, its forms go to us only, and no other page frames it."""
    fields = shared.get("/").fields
    assert (fields["cache-control"], fields["vary"]) == ("no-store", "Host, Accept-Encoding")
    policy = fields["content-security-policy"].split("; ")
    assert {"default-src 'none'", "script-src 'self'", "style-src 'self'", "form-action 'self'", "frame-ancestors 'none'"} <= set(policy)
    head = shared.get("/", "HEAD")
    assert (head.status, head.body) == (200, b"")


@pytest.mark.parametrize(("accepted", "packed"), [("gzip, deflate", True), ("br, *;q=0.1", True), ("gzip;q=0", False), ("identity", False)])
def test_gzip(shared: Mirror, accepted: str, packed: bool) -> None:
    """Pages and their files are gzipped for clients that take it, and the same otherwise; a file is not sent again that one has."""
    for path in ("/guide", asset_path("page.css")):
        answer = shared.get(path, fields={"Accept-Encoding": accepted})
        assert answer.fields["vary"].endswith("Accept-Encoding")
        assert (answer.fields["content-encoding"] == "gzip") == packed
        plain = shared.get(path).body
        whole = gzip.decompress(answer.body) if packed else answer.body
        assert whole.count(b"\n") == plain.count(b"\n")
        assert len(answer.body) < 0.4 * len(plain) or not packed
    tag = answer.fields["etag"]
    assert shared.get(path, fields={"Accept-Encoding": accepted, "If-None-Match": tag}).status == 304


@pytest.mark.parametrize("hosts", [["x';touch${IFS}/tmp/pwn;'"], ['"><script>'], ["[::1"], ["mirror.lab", "mirror.lab"], ["a b"]])
def test_hostile_host(shared: Mirror, hosts: list[str]) -> None:
    """A Host that could be more than a name is a 400 problem, and not quoted as HTML."""
    assert asked(shared, *hosts).problem["status"] == 400


def test_commands_name_the_address(shared: Mirror) -> None:
    """The commands are for the very address that was asked."""
    found = commands(read(asked(shared, "mirror.lab:8080").body))
    assert 'eval "$(curl -fsS http://mirror.lab:8080/setup.sh)"' in found
    at = "http://mirror.lab:8080/storage.googleapis.com/tensorflow/tf-keras-datasets/boston_housing.npz"
    assert f"curl -fO {at}" in found
    assert any("export HF_ENDPOINT=http://mirror.lab:8080/huggingface.co" in command for command in found)


def test_archives_are_found(shared: Mirror) -> None:
    """The table has what is stored; each of its links is the page of that archive, whose download gives the bytes."""
    links = [row.one("a").attributes["href"] or "" for row in page(shared, "/archives").one("tbody").all("tr")]
    assert len(links) == 2
    for link in links:
        found = page(shared, link)
        (download,) = [one.attributes["href"] or "" for one in found.all("a") if "download" in one.attributes]
        assert shared.get(download).body == DATA
    (row,) = page(shared, "/archives?q=FIRST").one("tbody").all("tr")
    assert "first.bin" in row.text
    assert "No archive matches" in page(shared, "/archives?q=nowhere").one("main").text


def test_an_archive_that_is_not_there(shared: Mirror) -> None:
    """Its page says what a request would get, and why; one that no origin lists can be allowed."""
    assert "A miss" in page(shared, f"/archives/{HOST}/sets/absent.bin").one("main").text
    refused = page(shared, "/archives/elsewhere.example.org/a.zip").one("main").text
    assert "A refusal, status 403" in refused
    assert "Allow it" in refused


def test_problems_are_told(shared: Mirror) -> None:
    """What failed is there with its reason and what to do; what the origin said is text, never HTML."""
    text = page(shared, "/").one("main").text
    assert "The origin answers 403" in text
    assert "What to do:" in text


def test_actions_need_the_token(shared: Mirror) -> None:
    """An action says beforehand what it concerns; without the token it changes nothing, and says why."""
    asking = page(shared, f"/status/act?what=rm&name={URL}/sets/first.bin").one("main").text.replace("\N{NO-BREAK SPACE}", " ")
    assert "1 item, 100 kB" in asking
    told = do(shared, "rm", f"{URL}/sets/first.bin", "wrong-token", 403)
    assert "the token is wrong" in told
    assert "What to do:" in told
    assert shared.get(f"/status/archive?url={URL}/sets/first.bin").status == 200


def test_actions_say_what_they_did(shared: Mirror, shared_origin: Origin) -> None:
    """Fetching, pinning, verifying, unpinning and removing by form: each says what it did, and it is so."""
    name = f"{URL}/sets/second.bin"
    content = body(100_000, 4)
    shared_origin.add("/sets/second.bin", content)
    assert "1 fetched" in do(shared, "fetch", name, TOKEN)
    assert shared.archive("/sets/second.bin").body == content
    do(shared, "pin", name, TOKEN)
    assert [pin["name"] for pin in shared.status["pins"]] == [name]
    assert "is pinned" in do(shared, "rm", name, TOKEN, 400)
    assert "1 good" in do(shared, "verify", name, TOKEN)
    do(shared, "unpin", name, TOKEN)
    assert "100 kB" in do(shared, "rm", name, TOKEN)
    assert shared.get(f"/status/archive?url={name}").status == 404
    assert "No stored archive matches" in page(shared, f"/status/act?what=rm&name={name}", 400).one("main").text


def test_pages_yield_to_origins(empty: Mirror) -> None:
    """A path that an origin has is its archive's, though there is a page of that path; the page is below /status/pages then."""
    for path in ("/datasets/keras/mnist", "/guide"):
        assert empty.get(path).problem["status"] in (503, 504)
        assert empty.get(f"/status/pages{path}").status == 200
    assert empty.get("/datasets").status == 200
    navigation = {link.attributes["href"] for link in page(empty, "/").one("header").all("a")}
    assert {"/datasets", "/archives", "/status/pages/guide"} <= navigation
    assert json.loads(empty.get("/status/explain?url=/guide").body)["url"] == f"{URL}/guide"


def test_a_dataset_with_a_secret(empty: Mirror) -> None:
    """A dataset whose URL has a secret has a page, and no page shows the secret."""
    found = empty.get("/status/pages/datasets/sets/secret")
    assert found.status == 200
    assert f"{HOST}/sets/x.zip?token=" in read(found.body).one("main").text
    (archive,) = [link.attributes["href"] or "" for link in read(found.body).all("a") if "x.zip" in (link.attributes["href"] or "")]
    for path in ("/status/pages/datasets/sets/secret", archive, "/status/catalog", "/"):
        assert SECRET.encode() not in empty.get(path).body, path


@pytest.mark.parametrize("pin", ["sets/secret", "sets/*", f"{URL}/sets/*"])
def test_a_pinned_dataset(empty: Mirror, pin: str) -> None:
    """The page of a dataset tells by which names it is pinned, of whatever kind they are."""
    assert empty.api("pin", names=[pin]).status == 200
    try:
        assert f"Pinned by {pin} : never evicted" in read(empty.get("/status/pages/datasets/sets/secret").body).one("main").text
    finally:
        assert empty.api("unpin", names=[pin]).status == 200
    assert "Pinned by" not in read(empty.get("/status/pages/datasets/sets/secret").body).one("main").text


def test_a_preset_that_changes(start_mirror: StartMirror, tmp_path: Path) -> None:
    """The page of origins says of a preset what its file says now; one that has gone since is no failure of the page."""
    preset = tmp_path / "mine.toml"
    preset.write_text('about = "The first words."\n')
    mirror = start_mirror(presets=[str(preset)])
    assert "The first words." in page(mirror, "/origins").one("main").text
    preset.write_text('about = "Other words."\n')
    assert mirror.api("reload").status == 200
    assert "Other words." in page(mirror, "/origins").one("main").text
    preset.unlink()
    assert "cannot be read" in page(mirror, "/origins").one("main").text


def test_empty_and_offline(empty: Mirror) -> None:
    """A mirror that has nothing says so on each page, and what to do next."""
    overview = page(empty, "/")
    assert "Nothing kept yet" in overview.text
    assert "offline" in overview.one("header").text
    for path, words in (("/archives", "Nothing is kept yet"), ("/activity?q=nowhere", "No request fits")):
        assert words in page(empty, path).one("main").text
    assert "Set one in mirror.toml" in page(empty, "/status/act?what=pin&name=keras/mnist").one("main").text


def test_a_broken_index(start_mirror: StartMirror) -> None:
    """With an index that cannot be read overview, metrics and events say so; pages that need it are errors with a hint what to do."""
    mirror = start_mirror()
    index = mirror.data / "index.db"
    with index.open("r+b") as file:
        file.seek(4096)
        file.write(os.urandom(index.stat().st_size - 4096))
    index.with_name("index.db-wal").write_bytes(b"")
    mirror.get("/archives")
    found = page(mirror, "/")
    assert found.one("title").text.startswith("Broken: Overview")
    assert "What to do:" in found.one("main").text
    assert "doctor --rebuild" in found.one("main").text
    assert "Nothing kept yet" not in found.text
    assert page(mirror, "/activity").one("title").text.startswith("Broken")
    assert "doctor --rebuild" in mirror.get("/archives").problem["hint"]
    metrics = mirror.get("/metrics").body
    assert b'dataset_mirror_check_ok{check="index"} 0.0' in metrics
    assert b"dataset_mirror_disk_free_bytes" in metrics
    with Viewer(mirror) as viewer:
        assert viewer.until("health")["state"] == "failing"


def test_refresh_without_scripts(shared: Mirror) -> None:
    """A browser that runs no scripts loads what changes again, as often as is asked for, or never."""

    def refreshed(path: str) -> list[str | None]:
        return [one.attributes["content"] for one in page(shared, path).all("meta") if one.attributes.get("http-equiv") == "refresh"]

    assert refreshed("/") == ["30"]
    assert refreshed("/activity?refresh=5") == ["5"]
    assert refreshed("/?refresh=0") == refreshed("/archives") == []
    assert shared.get("/?refresh=0;url=http://evil.example").problem["status"] == 400


def test_what_is_no_page(shared: Mirror) -> None:
    """A dataset that nobody knows is a 404 that says what is near; an action that there is not is a 400."""
    assert "keras/mnist" in shared.get("/datasets/keras/mnits").problem["hint"]
    assert shared.get(f"/archives/{HOST}").problem["status"] == 404
    assert shared.get("/status/act?what=format&name=x").problem["status"] == 400
