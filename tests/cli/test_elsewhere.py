"""Commands that work with a mirror elsewhere: --mirror URL, DATASET_MIRROR_URL and DATASET_MIRROR_TOKEN."""

from __future__ import annotations

import json
import subprocess
import threading
from collections.abc import Iterator
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests import warm
from tests.conftest import StartMirror
from tests.origin import Origin, body
from tests.serving import PATIENCE, URL, Mirror, environment

TOKEN = "ein-Geheimnis-für-alle"
A, B = f"{URL}/sets/a.bin", f"{URL}/sets/b.bin"


@pytest.fixture(scope="module")
def mirror(shared_origin: Origin, start_shared_mirror: StartMirror) -> Mirror:
    """A mirror with a token and two archives."""
    for number, name in enumerate("ab"):
        shared_origin.add(f"/sets/{name}.bin", body(1000 + number, number))
    mirror = start_shared_mirror(token=TOKEN)
    assert mirror.archive("/sets/a.bin").status == mirror.archive("/sets/b.bin").status == 200
    return mirror


def run(folder: Path, *arguments: str, typed: str = "", **variables: str) -> subprocess.CompletedProcess[str]:
    """A command on a machine that has nothing but the program."""
    return warm.run(*arguments, cwd=folder, env=environment(folder, variables), typed=typed)


def test_reading(mirror: Mirror, tmp_path: Path) -> None:
    """What only looks needs no token, by option or by variable."""
    for done in (run(tmp_path, "ls", "--json", "--mirror", mirror.url), run(tmp_path, "ls", "--json", url=mirror.url)):
        assert [json.loads(line)["url"] for line in done.stdout.splitlines()] == [A, B]
    assert run(tmp_path, "ls", "--json", f"{URL}/sets/*", "--sort", "size", "--reverse", url=mirror.url).stdout.index(B) < 50
    assert run(tmp_path, "status", url=mirror.url).stdout.startswith(mirror.url)
    assert run(tmp_path, "explain", A, url=mirror.url).stdout.startswith("HIT")
    assert len(run(tmp_path, "have", url=mirror.url).stdout.splitlines()) == 3
    assert run(tmp_path, "wanted", url=mirror.url).returncode == 0
    assert run(tmp_path, "check", A, url=mirror.url).returncode == 0
    assert list(tmp_path.iterdir()) == []


def test_changing(mirror: Mirror, shared_origin: Origin, tmp_path: Path) -> None:
    """With the token each verb that changes something does so there, and nothing is made here."""
    shared_origin.add("/sets/new.bin", body(500))
    new = f"{URL}/sets/new.bin"

    def there(*arguments: str, typed: str = "") -> subprocess.CompletedProcess[str]:
        return run(tmp_path, *arguments, typed=typed, url=mirror.url + "/", token=TOKEN)

    fetched = there("fetch", new, "--from", "-", typed=f"{A}\n")
    assert (fetched.returncode, fetched.stdout.splitlines()[-1]) == (0, "2 of 2 archives are there (1,500 bytes).")
    assert there("verify", new).returncode == 0
    assert there("gc", "--dry-run").returncode == 0
    assert there("rm", "--yes", new).stdout.endswith("Removed 1 archive; 500 bytes are free again.\n")
    assert there("check", "--want", new).returncode == 1
    assert there("wanted", "--clear").stdout.count("new.bin") == 1
    assert mirror.status["wanted"] == 0
    assert list(tmp_path.iterdir()) == []


def test_a_list_of_which_not_all_can_be_fetched(mirror: Mirror, tmp_path: Path) -> None:
    """What that mirror does not list, does not know or cannot name is said; the rest of the list is fetched there."""
    lines = ["https://x.example.org/a/b.zip", A, "keras/mnst", "hf:dataset/org/set", f"{URL}/other/x.zip?v=1", A]
    done = run(tmp_path, "fetch", "--from", "-", "--mirror", mirror.url, typed="\ufeff" + "\r\n".join(lines), token=TOKEN)
    assert (done.returncode, f"present  {A}" in done.stdout) == (1, True)
    assert "standard input, line 3: The mirror's catalog has no archive named 'keras/mnst'. Did you mean keras/mnist" in done.stderr
    assert (
        "1 archive of x.example.org, which no origin lists. To allow it, run on that mirror's machine: dataset-mirror fetch" in done.stderr
    )
    assert "1 archive of data.example.org, which no origin lists" in done.stderr
    assert "hf:dataset/org/set: " in done.stderr
    assert done.stdout.splitlines()[0].startswith("present")
    allow = run(tmp_path, "fetch", A, "--allow", "x.example.org", "--mirror", mirror.url, token=TOKEN)
    assert (allow.returncode, "Run it on that mirror's machine." in allow.stderr) == (2, True)


@pytest.mark.parametrize("command", [["fetch", A], ["rm", "--yes", A], ["verify"], ["gc"], ["check", "--want", f"{URL}/sets/no.bin"]])
@pytest.mark.parametrize("variables", [{}, {"token": "a-wrong-token"}], ids=["no token", "wrong token"])
def test_without_the_right(mirror: Mirror, tmp_path: Path, command: list[str], variables: dict[str, str]) -> None:
    """Without the right token it is one sentence with what to do, status 1, and nothing changes; not even on this machine."""
    done = run(tmp_path, *command, "--mirror", mirror.url, **variables)
    assert (done.returncode, done.stderr.count("\n"), "DATASET_MIRROR_TOKEN" in done.stderr) == (1, 1, True)
    assert mirror.archive("/sets/a.bin").status == 200


def test_the_owner_by_url(mirror: Mirror, tmp_path: Path) -> None:
    """Beside the server its owner needs no token, though a URL names it."""
    assert run(tmp_path, "verify", data=str(mirror.data), url=mirror.url).returncode == 0


@pytest.mark.parametrize(
    "command",
    [["export", "x.tar", "--all"], ["import", "x.tar"], ["adopt", "."], ["add", "https://x.example.org/a/b.zip"]],
    ids=lambda c: c[0],
)
def test_what_works_on_a_folder(mirror: Mirror, tmp_path: Path, command: list[str]) -> None:
    """Verbs that work on a data folder say so, and that they do not go over HTTP."""
    for done in (run(tmp_path, *command, "--mirror", mirror.url), run(tmp_path, *command, url=mirror.url)):
        assert (done.returncode, done.stderr.count("\n")) == (2, 1)
        assert "works on a data folder, not over HTTP" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_named_wins(mirror: Mirror, tmp_path: Path) -> None:
    """--data on the command line means that folder, whatever DATASET_MIRROR_URL says."""
    done = run(tmp_path, "ls", "--data", str(tmp_path / "none"), url=mirror.url)
    assert (done.returncode, "There is no mirror's data in" in done.stderr) == (1, True)


@pytest.fixture
def prefixed(mirror: Mirror) -> Iterator[str]:
    """The mirror below a path of another server."""

    class Proxy(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            inner = HTTPConnection("127.0.0.1", mirror.port, timeout=PATIENCE)
            length = int(self.headers.get("content-length") or 0)
            kept = {name: value for name, value in self.headers.items() if name.lower() in ("authorization", "content-type")}
            inner.request(self.command, self.path.removeprefix("/mirror"), self.rfile.read(length) or None, kept)
            answer = inner.getresponse()
            content = answer.read()
            self.send_response(answer.status)
            self.send_header("Content-Type", answer.headers["content-type"])
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)
            inner.close()

        def do_POST(self) -> None:
            self.do_GET()

        def log_message(self, *_: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Proxy) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/mirror"
        server.shutdown()


def test_below_a_path(prefixed: str, tmp_path: Path) -> None:
    """A mirror's URL may have a path, for what looks and for what changes."""
    assert json.loads(run(tmp_path, "ls", "--json", A, url=prefixed).stdout)["url"] == A
    assert run(tmp_path, "fetch", A, url=prefixed, token=TOKEN).stdout.startswith("present")


def test_https_where_there_is_none(mirror: Mirror, tmp_path: Path) -> None:
    """Who asks a mirror's port by https is told its right URL."""
    done = run(tmp_path, "ls", "--mirror", mirror.url.replace("http:", "https:"))
    assert (done.returncode, done.stderr.count("\n"), f"Use {mirror.url}," in done.stderr) == (1, 1, True), done.stderr


@pytest.mark.parametrize("command", [["ls"], ["status"], ["fetch", A], ["wanted"], ["have"], ["explain", A]], ids=lambda c: c[0])
def test_what_is_no_mirror(shared_origin: Origin, tmp_path: Path, command: list[str]) -> None:
    """Nobody there, another server and no URL at all are each one sentence."""
    nobody = run(tmp_path, *command, "--mirror", "http://127.0.0.1:9", token=TOKEN)
    assert (nobody.returncode, nobody.stderr.count("\n"), "does not answer" in nobody.stderr) == (1, 1, True)
    other = run(tmp_path, *command, "--mirror", shared_origin.url, token=TOKEN)
    assert (other.returncode, other.stderr.count("\n"), "is not a dataset-mirror" in other.stderr) == (1, 1, True)
    for url in ("ftp://x", "http://[::1", "http://x:99999", "http://x:a"):
        wrong = run(tmp_path, *command, "--mirror", url)
        assert (wrong.returncode, wrong.stderr.count("\n"), "is not the URL of a mirror" in wrong.stderr) == (2, 1, True)


@pytest.fixture(scope="module", params=["<p>Please log in.</p>\n", "{}\n", "[]\n", ""])
def portal(request: pytest.FixtureRequest) -> Iterator[str]:
    """The URL of a server that answers every request with the same page, and 200."""

    class Portal(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.rfile.read(int(self.headers["content-length"] or 0))
            self.send_response(200)
            self.end_headers()
            self.wfile.write(request.param.encode())

        do_POST = do_GET  # noqa: N815

        def log_message(self, *_: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Portal) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.mark.parametrize(
    "verb", ["ls", "status", "verify", "have", "clients", "log", "pin x", "rm --yes x", f"fetch {A}", "keras-home home", "run -- true"]
)
def test_a_page_in_place_of_answers(portal: str, tmp_path: Path, verb: str) -> None:
    """A page that a gateway shows for everything is taken for no mirror's answer, and no digest; only an empty list may be one."""
    command, *rest = verb.split()
    done = run(tmp_path, command, "--mirror", portal, *rest)
    assert "Traceback" not in done.stderr
    assert "Please" not in done.stdout
    assert done.returncode == 1 or command in ("clients", "log", "have")


@pytest.mark.parametrize("since", ["99999999999w", "1900-01-01", "6000d"])
def test_longer_ago_than_anything(mirror: Mirror, tmp_path: Path, since: str) -> None:
    """However far back: beside a server and without one all is shown that there is."""
    here = environment(tmp_path, {"data": str(mirror.data)})
    for where in (
        here,
        here | {"DATASET_MIRROR_DATA": str(tmp_path / "empty")},
        environment(tmp_path, {"url": mirror.url, "token": TOKEN}),
    ):
        warm.run("pin", "keras/mnist", "--data", tmp_path / "empty", env=here)
        done = warm.run("report", "--since", since, cwd=tmp_path, env=where)
        assert (done.returncode, done.stdout.startswith("From 20")) == (0, True), done.stderr
    assert run(tmp_path, "log", "--since", since, url=mirror.url, token=TOKEN).returncode == 0
