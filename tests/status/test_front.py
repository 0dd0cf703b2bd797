"""The page at `/`."""

from __future__ import annotations

import http.client
import socket
from pathlib import Path

import pytest

from dataset_mirror.origins.model import CatalogEntry
from dataset_mirror.status.front import Front
from dataset_mirror.status.models import DoorsStatus, FailureStatus, FillStatus, Status, StoreStatus, UpstreamStatus
from tests.conftest import StartMirror
from tests.origin import Origin, body
from tests.serving import HOST, PATIENCE, URL, Answer, Mirror
from tests.status.browser import needs_browser, rendered
from tests.status.html import Element, check_accessible, loaded, read

DATA = body(100_000, 3)
ODD = "/sets/a%22b%27%3Cscript%3E.tar?x='&y=%3E"
NOW = 1_800_000_000.0


@pytest.fixture(scope="module")
def shared(start_shared_mirror: StartMirror) -> Mirror:
    """An empty mirror."""
    return start_shared_mirror()


def front(mirror: Mirror, path: str = "/") -> Element:
    """The page, read; it must be accessible."""
    answer = mirror.get(path)
    assert answer.status == 200
    page = read(answer.body)
    check_accessible(page)
    return page


def asked(mirror: Mirror, *hosts: str, path: str = "/") -> Answer:
    """GET with these Host fields."""
    connection = http.client.HTTPConnection("127.0.0.1", mirror.port, timeout=PATIENCE)
    try:
        connection.putrequest("GET", path, skip_host=True)
        for host in hosts:
            connection.putheader("Host", host)
        connection.endheaders()
        response = connection.getresponse()
        return Answer(response.status, response.headers, response.read())
    finally:
        connection.close()


def commands(page: Element) -> list[str]:
    """What it offers to copy."""
    return [code.text for pre in page.all("pre") for code in pre.all("code")]


def known(**changes: object) -> Status:
    """A status of an idle, empty mirror, with these changes."""
    store = StoreStatus(path="/srv", file_system="ext4", blob_bytes=0, promised=0, free=5_000, min_free=1_000, max_size=None)
    doors = DoorsStatus(tunnels=0, tunnelled=0, refused=0, relayed=0)
    idle: dict[str, object] = dict.fromkeys(("archives", "archive_bytes", "hits", "misses", "uptime", "wanted"), 0)
    idle |= dict.fromkeys(("bytes_served", "bytes_fetched", "bytes_saved"), 0)
    idle |= {"version": "1.2.3", "offline": False, "store": store, "doors": doors, "fills": [], "failures": [], "upstreams": []}
    return Status.model_validate(idle | changes)


def shown(status: Status, example: CatalogEntry | None = None) -> Element:
    """The page of a status."""
    page = read(bytes(Front("http://mirror.lab", status, [], example, NOW).answer().body))
    check_accessible(page)
    return page


def test_empty(shared: Mirror) -> None:
    """A mirror that has nothing says so, and what to do first."""
    page = front(shared)
    assert "Nothing kept yet · nothing under way · online" in page.one("header").text
    assert "the first archive that is asked for is fetched" in page.text
    assert "dataset-mirror fetch keras/mnist" in commands(page)
    assert not page.all("table")


def test_commands(shared: Mirror) -> None:
    """The commands are for the very address that was asked, and get the archive from there."""
    page = read(asked(shared, "mirror.lab:8080").body)
    at = "http://mirror.lab:8080/storage.googleapis.com/tensorflow/tf-keras-datasets/boston_housing.npz"
    setup, run, curl, keras, tar, home, _ = commands(page)
    assert setup == 'eval "$(curl -fsS http://mirror.lab:8080/setup.sh)"'
    assert run == "dataset-mirror run --mirror http://mirror.lab:8080 -- python train.py"
    assert curl == f"curl -fO {at}"
    assert f'origin="{at}"' in keras
    assert "f553886a1f8d56431e820c5b82552d9d95cfcb96d1e678153f8839538947dff5" in keras
    only = "'http://mirror.lab:8080/keras-home.tar?only=mnist,cifar10'"
    assert tar == f"mkdir -p ~/.keras && curl -fsS {only} | tar -x -C ~/.keras"
    assert home == "dataset-mirror keras-home ~/.keras --mirror http://mirror.lab:8080"


def test_fields(shared: Mirror) -> None:
    """No cache keeps it, no script runs in it, no other page frames it."""
    fields = shared.get("/").fields
    assert (fields["cache-control"], fields["vary"]) == ("no-store", "Host")
    assert fields["content-type"] == "text/html; charset=utf-8"
    policy = fields["content-security-policy"].split("; ")
    assert {"default-src 'none'", "style-src 'self'", "img-src 'self'", "frame-ancestors 'none'"} <= set(policy)
    assert not any(directive.startswith("script-src") for directive in policy)
    head = shared.get("/", "HEAD")
    assert (head.status, head.body) == (200, b"")


def test_nothing_from_elsewhere(shared: Mirror) -> None:
    """It loads our own style and icon, and nothing else; it has no script and no style of its own."""
    page = front(shared)
    names = loaded(page)
    assert len(names) == 2
    for name in names:
        assert name.startswith("/static/")
        assert shared.get(name).status == 200
    assert not page.all("script")
    assert not page.all("style")
    assert not [element for element in page.all() if any(name == "style" or name.startswith("on") for name in element.attributes)]
    style = shared.get(next(name for name in names if name.endswith(".css"))).body
    assert b"url(" not in style
    assert b"@import" not in style


def test_links(shared: Mirror) -> None:
    """Every link of the page leads somewhere in this mirror."""
    links = {link.attributes["href"] or "" for link in front(shared).all("a")}
    assert {"/docs", "/status", "/status/archives", "/metrics", "/healthz"} <= links
    for link in links - {"#main"}:
        assert link.startswith("/")
        assert shared.get(link).status == 200


@pytest.mark.parametrize("hosts", [["x';touch${IFS}/tmp/pwn;'"], ['"><script>'], ["[::1"], ["mirror.lab", "mirror.lab"], ["a b"]])
def test_hostile_host(shared: Mirror, hosts: list[str]) -> None:
    """A Host that could be more than a name is a 400 problem, and not quoted as HTML."""
    assert asked(shared, *hosts).problem["status"] == 400


def test_public_url(start_mirror: StartMirror) -> None:
    """`public_url` is what the commands name, whatever the Host."""
    mirror = start_mirror(public_url="https://mirror.example.org/data")
    page = read(asked(mirror, "other.lab").body)
    curl, *rest = commands(page)
    assert curl.startswith("curl -fO https://mirror.example.org/data/storage.googleapis.com/")
    assert not any("setup.sh" in command or "run" in command.split() for command in rest)  # what lies below a path is no proxy


def test_archives(mirror: Mirror, origin: Origin) -> None:
    """What is kept stands in a table, the last used first; its links give the bytes, odd names harm nothing."""
    for path in ("/sets/first.bin", ODD):
        origin.add(path, DATA)
        assert mirror.archive(path).status == 200
    page = front(mirror)
    assert "2 archives, 200 kB" in page.one("header").text.replace("\N{NO-BREAK SPACE}", " ")
    rows = page.one("tbody").all("tr")
    names = {row.one("a").text: row for row in rows}
    assert set(names) == {"first.bin", "a%22b%27%3Cscript%3E.tar"}
    assert "computed" in names["first.bin"].text
    for row in rows:
        assert mirror.get(row.one("a").attributes["href"] or "").body == DATA


def test_a_download(mirror: Mirror, origin: Origin) -> None:
    """A download under way has a bar, and the same in words; the page comes anew only if asked to."""
    origin.add("/sets/slow.bin", body(1_000_000), stall_after=600_000)
    with socket.create_connection(("127.0.0.1", mirror.port), PATIENCE) as client:
        client.sendall(f"GET /{HOST}/sets/slow.bin HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        received = 0
        while received < 300_000:
            received += len(client.recv(65536))
        page = front(mirror)
        bar = page.one("progress")
        assert bar.attributes["max"] == "1000000"
        assert 250_000 < int(bar.attributes["value"] or "") <= 600_000
        assert "of 1.0 MB" in page.text
        assert "1 client follows it" in page.text
        assert "1 download under way" in page.one("header").text
        assert not [meta for meta in page.all("meta") if meta.attributes.get("http-equiv")]
        fresh = front(mirror, "/?refresh=5")
        assert [meta.attributes["content"] for meta in fresh.all("meta") if meta.attributes.get("http-equiv") == "refresh"] == ["5"]
        assert "Stop" in fresh.one("footer").text


@pytest.mark.parametrize("refresh", ["0", "1", "99999999", "0;url=http://evil.example", "x"])
def test_wrong_refresh(shared: Mirror, refresh: str) -> None:
    """A time that cannot be meant is a 400 problem."""
    assert shared.get(f"/?refresh={refresh}").problem["status"] == 400


def test_failures(mirror: Mirror, origin: Origin) -> None:
    """What failed is there with its reason and what to do, and what the origin said is text, never HTML."""
    origin.add("/sets/no.bin", DATA, status=403, status_body=b"<script>alert(1)</script>")
    assert mirror.archive("/sets/no.bin").status == 403
    (failure,) = [item for item in front(mirror).all("li") if item.attributes.get("class") == "failure"]
    (told,) = mirror.status["failures"]
    assert f"{HOST}/sets/no.bin" in failure.text
    assert " ".join(told["detail"].split()) in failure.text
    assert "its clients got 403" in failure.text


def test_words_are_escaped() -> None:
    """Markup in whatever the mirror was told is shown as it came."""
    evil = "<script>alert('x')</script>\"&"
    failure = FailureStatus(at=NOW - 60, url=f"{URL}/{evil}", status=502, detail=evil, hint=evil)
    upstream = UpstreamStatus(place=evil, failures=3, resting=True, last_error=evil, failed_at=NOW - 7200)
    page = shown(known(failures=[failure] * 2, upstreams=[upstream], version=evil))
    assert not page.all("script")
    assert page.text.count(evil) == 2 * 3 + 2 + 1
    assert "2 hours ago" in page.text


def test_commands_are_quoted() -> None:
    """An archive whose URL means something to a shell or to Python is quoted in the commands."""
    example = CatalogEntry(url=f"{URL}/sets/a.zip?a=1&b='$(id)", keras_home=("sets/a b.zip",))
    _, _, curl, keras, *_ = commands(shown(known(archives=1), example))
    assert curl == f"""curl -fO 'http://mirror.lab/{HOST}/sets/a.zip?a=1&b='"'"'$(id)'"""
    assert f"""origin="http://mirror.lab/{HOST}/sets/a.zip?a=1&b='$(id)",""" in keras


def test_many_downloads() -> None:
    """Of very many downloads those that run come first, and the rest is counted."""
    fills = [
        FillStatus(url=f"{URL}/{n}", received=n, total=None, rate=0, eta=None, readers=0, began=NOW, waiting=n < 90) for n in range(100)
    ]
    cards = shown(known(fills=fills)).one("main").all("ul")[0].all("li")
    assert len(cards) == 20
    assert [len(card.all("progress")) for card in cards] == [1] * 10 + [0] * 10
    assert "80 more" in shown(known(fills=fills)).text


@pytest.mark.parametrize(
    ("changes", "room"),
    [({}, "4.0 kB"), ({"max_size": 1_500, "blob_bytes": 500}, "1.0 kB"), ({"promised": 3_000}, "1.0 kB"), ({"free": 10}, "0 bytes")],
)
def test_room(changes: dict[str, int], room: str) -> None:
    """The room left is what the disk, the limit and the downloads under way leave."""
    status = known(store=known().store.model_copy(update=changes))
    assert f"Room left {room}" in shown(status).text.replace("\N{NO-BREAK SPACE}", " ")


def test_offline(start_mirror: StartMirror) -> None:
    """A mirror that is offline and empty says how to get out of that."""
    page = front(start_mirror(offline=True))
    assert "offline" in page.one("header").text
    assert "Start it once without --offline" in page.text


@needs_browser
def test_in_a_browser(shared: Mirror, tmp_path: Path) -> None:
    """A browser gets the same elements from it that were written: nothing had to be repaired, nothing was blocked."""
    log = tmp_path / "log"
    document = rendered(f"{shared.url}/", tmp_path / "profile", "--enable-logging", f"--log-file={log}")
    as_written = [element.tag for element in front(shared).all()]
    assert [element.tag for element in read(document.replace("<!DOCTYPE html>", "<!DOCTYPE html>\n", 1)).all()] == as_written
    assert "CONSOLE" not in log.read_text(errors="replace")
