"""What people type into a browser or a shell, and what they read when it does not work."""

import json
import signal
from pathlib import Path
from urllib.parse import quote

import pytest

from tests import warm
from tests.conftest import StartMirror
from tests.origin import Origin, body
from tests.serving import HOST, URL, Answer, Mirror, environment

BROWSER = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}
PIP = {"Accept": "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html; q=0.1, text/html; q=0.01"}


@pytest.fixture(scope="module")
def mirror(shared_origin: Origin, start_shared_mirror: StartMirror) -> Mirror:
    """A mirror that has two archives of a folder."""
    mirror = start_shared_mirror(
        upstreams={HOST: [shared_origin.url], "huggingface.co": [shared_origin.url], "nobody.example.org": [shared_origin.url]}
    )
    for name in ("a.bin", "b&.bin"):
        shared_origin.add(f"/sets/{name}", body(3000))
        assert mirror.archive(f"/sets/{name}").status == 200
    return mirror


@pytest.mark.parametrize(
    "path",
    [
        f"/https://{HOST}/sets/a.bin",
        f"/https:/{HOST}/sets/a.bin",
        f"/http://{HOST}/sets/a.bin",
        f"/HTTPS://{HOST.upper()}:443/sets/a.bin",
        f"/https%3A//{HOST}/sets/a.bin",
        f"/https%3A%2F%2F{HOST}%2Fsets%2Fa.bin",
    ],
)
def test_a_whole_url_as_a_path(mirror: Mirror, path: str) -> None:
    """A URL behind the mirror's own is the archive, also where a client merged its slashes or encoded it."""
    assert (mirror.get(path).status, mirror.get(path).body) == (200, body(3000))


@pytest.mark.parametrize(
    "path", ["/https://evil.example.org/x", "/https:///x", "/https://a@b/x", "/https%3A%2F%2Fevil.example.org%2F..%2Fx"]
)
def test_a_whole_url_that_is_not_allowed(mirror: Mirror, path: str) -> None:
    """Such a path allows nothing that its plain form does not."""
    assert mirror.get(path).status in (400, 403)


def test_a_name_of_the_catalog(mirror: Mirror) -> None:
    """A catalog name in place of a path is told the real paths."""
    answer = mirror.get("/keras/mnist")
    assert answer.status == 404
    assert json.loads(answer.body)["choices"] == ["/storage.googleapis.com/tensorflow/tf-keras-datasets/mnist.npz"]
    page = mirror.get("/keras/mnist", fields=BROWSER).body.decode()
    assert '<a href="/storage.googleapis.com/tensorflow/tf-keras-datasets/mnist.npz">' in page


NEARLY = {
    "/keras/mnist/": ["/storage.googleapis.com/tensorflow/tf-keras-datasets/mnist.npz"],
    "/keras%2Fmnist%20": ["/storage.googleapis.com/tensorflow/tf-keras-datasets/mnist.npz"],
    "/boston_housing.npz": ["/storage.googleapis.com/tensorflow/tf-keras-datasets/boston_housing.npz"],
    "/gs://tensorflow/tf-keras-datasets/mnist.npz": ["/storage.googleapis.com/tensorflow/tf-keras-datasets/mnist.npz"],
    "/%22https://a.example.org/x%22": ["/a.example.org/x"],
    f"/{HOST}%2Fsets%2Fa.bin": [f"/{HOST}/sets/a.bin"],
    "/keras/mnst": ["/keras/mnist", "/keras/imdb"],
}


@pytest.mark.parametrize(("path", "choices"), NEARLY.items())
def test_what_nearly_means_something(mirror: Mirror, path: str, choices: list[str]) -> None:
    """A path that people write for an archive elsewhere, or with an error, is told what it means, and has links to that for browsers."""
    answer = mirror.get(path)
    assert (answer.status in (403, 404), answer.problem["choices"]) == (True, choices)
    assert f'<a href="{choices[0]}">' in mirror.get(path, fields=BROWSER).body.decode()


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("/keras/*", "dataset-mirror ls 'keras/*'"),
        ("/hf:org/model@v1", "dataset-mirror fetch hf:org/model@v1"),
        ("/org/model", "its name is hf:org/model"),
        ("/nltk/punkt", "dataset-mirror presets nltk"),
        ("/ftp://a.example.org/x", "dataset-mirror adopt FILE"),
        (f"/{HOST}//sets/a.bin", "one slash between host and path"),
        (f"/{HOST}/sets", f"dataset-mirror ls '{HOST}/sets/*'"),
    ],
)
def test_what_helps(mirror: Mirror, path: str, said: str) -> None:
    """What no path can mean is refused with the command that does it."""
    assert said in mirror.get(path).problem["hint"]


def test_a_whole_url_that_is_passed_on(mirror: Mirror) -> None:
    """A URL in place of a path leads also to what is only passed on."""
    assert mirror.get("/https://huggingface.co/org/model").status == mirror.get("/huggingface.co/org/model").status == 404


def test_a_folder(mirror: Mirror) -> None:
    """A folder of an origin, listed or not, shows what is stored below it: JSON, or a page for a browser."""
    for folder in (f"/{HOST}/sets/", f"/{HOST}/", f"/{HOST}", f"/{HOST.upper()}"):
        found = json.loads(mirror.get(folder).body)["archives"]
        assert [one["url"] for one in found] == [f"{URL}/sets/a.bin", f"{URL}/sets/b&.bin"]
        page = mirror.get(folder, fields=BROWSER)
        assert _kind(page) == "text/html; charset=utf-8"
        assert f'<a href="/{HOST}/sets/b&amp;.bin">' in page.body.decode()
    assert json.loads(mirror.get(f"/{HOST}/sets/none/").body)["archives"] == []
    assert mirror.get("/storage.example.org/x/").status == 403


def _kind(answer: Answer) -> str:
    return answer.fields["content-type"]


@pytest.mark.parametrize("path", ["/<script>alert(1)</script>.org/x", "/nowhere/x.zip", "/nowhere"])
def test_errors_for_browsers(mirror: Mirror, path: str) -> None:
    """An error is a small page for who prefers one: escaped, without scripts; programs get problem documents as before."""
    page = mirror.get(path, fields=BROWSER)
    assert _kind(page) == "text/html; charset=utf-8"
    assert "default-src 'none'" in page.fields["content-security-policy"]
    assert b"<script" not in page.body
    for fields in ({}, {"Accept": "*/*"}, PIP, {"Accept": "application/json"}, {"Accept": "text/html;q=0"}):
        problem = mirror.get(path, fields=fields)
        assert (_kind(problem), problem.status) == ("application/problem+json", page.status)


def test_explain_suggests(mirror: Mirror, tmp_path: Path) -> None:
    """`explain` of a name that is nearly one says which; of what failed before, when and why."""
    known = environment(tmp_path, {})
    done = warm.run("explain", "--mirror", mirror.url, "keras/mnst", cwd=tmp_path, env=known)
    assert (done.returncode, "Did you mean keras/mnist" in done.stdout) == (1, True)
    assert mirror.archive("/sets/gone.bin").status == 404
    done = warm.run("explain", "--mirror", mirror.url, f"{URL}/sets/gone.bin", cwd=tmp_path, env=known)
    assert "It was last tried" in done.stdout
    assert "404" in done.stdout


EXPLAINED = {
    "keras/*": "dataset-mirror ls 'keras/*'",
    "a.bin": "dataset-mirror ls a.bin",
    "boston_housing.npz": "MISS (200)  https://storage.googleapis.com/tensorflow/tf-keras-datasets/boston_housing.npz",
    f" {HOST.upper()}/sets/a.bin ": f"HIT (200)  {URL}/sets/a.bin",
    f"{HOST}": f"dataset-mirror ls '{HOST}/*'",
    "nltk/punkt": "dataset-mirror presets nltk",
    "https://huggingface.co/api/whoami-v2": "never kept",
}


@pytest.mark.parametrize(("word", "said"), EXPLAINED.items())
def test_explain(mirror: Mirror, word: str, said: str) -> None:
    """`explain` works with all that people write, or says what does."""
    answer = mirror.get(f"/status/explain?url={quote(word)}")
    found = json.loads(answer.body)
    assert said in " ".join([f"{found['outcome'].upper()} ({found['status']})  {found['url']}", *found["why"], found["hint"]])


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("ls", HOST), f"dataset-mirror ls '{HOST}/*'"),
        (("ls", "keras/mnst"), "Did you mean keras/mnist"),
        (("verify", "keras/mnist"), "dataset-mirror explain keras/mnist"),
        (("fetch", f"{HOST}/sets/*"), f"dataset-mirror ls '{HOST}/sets/*'"),
        (("fetch", "tfds/mnist"), "dataset-mirror presets tfds"),
        (("fetch", "https://huggingface.co/api/whoami-v2"), "it is passed on to its origin"),
        (("pin", "org/model"), "hf:org/model"),
        (("check", f"{HOST.upper()}/sets/*"), "selects of what is stored"),
        (("pin", "keras/mnst"), "Did you mean keras/mnist"),
        (("unpin", "'keras/mnist'"), "'keras/mnist' is not pinned"),
        (("wanted", " keras/mnist"), "Nothing on the wanted list matches 'keras/mnist'"),
    ],
)
def test_what_verbs_say(mirror: Mirror, arguments: tuple[str, ...], said: str, tmp_path: Path) -> None:
    """A word that means nothing ends a command with a sentence that names what would do."""
    done = warm.run(*arguments, "--data", mirror.data, cwd=tmp_path, env=environment(tmp_path, {}))
    assert (done.returncode in (1, 2), said in done.stderr + done.stdout) == (True, True), done


def test_pins_without_a_scheme(mirror: Mirror, tmp_path: Path) -> None:
    """A URL that is pinned without its scheme is that archive, and is unpinned in the same way."""
    for verb, said in (("pin", f"Pinned {URL}/sets/a.bin: 1 of 1"), ("unpin", f"Unpinned {URL}/sets/a.bin")):
        done = warm.run(verb, f"{HOST}/sets/a.bin", "--data", mirror.data, cwd=tmp_path, env=environment(tmp_path, {}))
        assert (done.returncode, said in done.stdout) == (0, True), done


@pytest.mark.parametrize("verb", ["add", "fetch", "check"])
def test_ftp(verb: str, tmp_path: Path) -> None:
    """ftp is said not to be supported, with what helps, by every verb."""
    done = warm.run(verb, "ftp://ftp.example.org/pub/x.zip", cwd=tmp_path, env=environment(tmp_path, {}))
    assert done.returncode == 2
    assert "ftp is not supported" in done.stderr
    assert "dataset-mirror adopt" in done.stderr


def test_notes_at_start(start_mirror: StartMirror) -> None:
    """Upstreams of a host that no origin lists, an origin without paths, and a name to keep that means nothing are said at start."""
    origins = [{"url": "https://empty.example.org"}, {"url": "https://a.org", "paths": ["/"]}, {"url": "https://b.org", "paths": ["/x/"]}]
    keep = [{"name": ["kears/*", "keras/*", "https://data.example.org/*", "hf:org/model"], "at": "02:00"}]
    started = start_mirror(origins=origins, upstreams={"nobody.example.org": ["http://127.0.0.1:9"]}, keep=keep)
    process = started.process
    assert process is not None
    assert process.stdout is not None
    started.signal(signal.SIGTERM)
    notes = [line for line in process.stdout.read().splitlines() if line.startswith("Note:")]
    started.ended()
    assert any("nobody.example.org, which no origin lists" in note for note in notes)
    assert any("https://empty.example.org has no `paths`" in note for note in notes)
    assert not any("more than one origin" in note for note in notes)
    (kept,) = (note for note in notes if "[[keep]]" in note)
    assert "kears/*" in kept
    assert "Did you mean keras/" in kept


@pytest.mark.parametrize("word", ["a.bin", "[a].bin", "a.*", f"{HOST}/sets/a.bin", f"{HOST}/sets/a*", f"https://{HOST}/s*/a.bin"])
def test_file_names_and_globs(mirror: Mirror, tmp_path: Path, word: str) -> None:
    """Verbs that work with what is stored take a file's name, and globs with or without scheme and host."""
    done = warm.run("ls", "--mirror", mirror.url, "--json", word, cwd=tmp_path, env=environment(tmp_path, {}))
    assert [json.loads(line)["url"] for line in done.stdout.splitlines()] == [f"{URL}/sets/a.bin"]


def test_a_file_of_the_catalog(mirror: Mirror, tmp_path: Path) -> None:
    """Verbs that work with the catalog take a file's name, too."""
    done = warm.run("check", "--mirror", mirror.url, "--json", "boston_housing.npz", cwd=tmp_path, env=environment(tmp_path, {}))
    assert [json.loads(line)["name"] for line in done.stdout.splitlines()] == ["keras/boston_housing"]
