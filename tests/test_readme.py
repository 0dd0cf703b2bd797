"""README.md says nothing that does not work: each of its commands is run, its configuration loaded, its Python compiled."""

import hashlib
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import click
import pytest

from dataset_mirror import errors
from dataset_mirror.cli import COMMANDS, program
from dataset_mirror.origins.presets.facts import facts_of
from dataset_mirror.settings import load
from tests import warm
from tests.origin import Origin, body
from tests.serving import HOST, PATIENCE, PROGRAM, Mirror, environment

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)
SHELL = [text.strip() for kind, text in BLOCKS if kind == "sh"]
PYTHON = [text for kind, text in BLOCKS if kind == "python"]
TOML = [text for kind, text in BLOCKS if kind == "toml"]

SERVE = "python3 -m venv .venv && .venv/bin/pip install -q . && .venv/bin/dataset-mirror serve"
TEST = "python3 -m venv .venv && .venv/bin/pip install -q -e '.[test]' && .venv/bin/pytest"
CURL = "curl -fO http://127.0.0.1:8080/storage.googleapis.com/tensorflow/tf-keras-datasets/boston_housing.npz"
ADD = ".venv/bin/dataset-mirror add https://data.example.org/sets/a.zip"
SETUP = 'eval "$(curl -fsS http://127.0.0.1:8080/setup.sh)"'
RUN = ".venv/bin/dataset-mirror run -- python train.py"
KERAS_HOME = ".venv/bin/dataset-mirror keras-home ~/.keras boston_housing"
KERAS_TAR = 'mkdir -p ~/.keras && curl -fsS "http://127.0.0.1:8080/keras-home.tar?only=boston_housing" | tar -x -C ~/.keras'
FETCH = """.venv/bin/dataset-mirror fetch keras/mnist 'keras/reuters*'
.venv/bin/dataset-mirror adopt ~/.keras"""
WHEELS = """python3 -m pip wheel -q . -w wheels
python3 -m venv .venv && .venv/bin/pip install -q --no-index --find-links wheels dataset-mirror"""
INSIDE = """.venv/bin/dataset-mirror serve --offline
.venv/bin/dataset-mirror check --want train.py
.venv/bin/dataset-mirror wanted --export wanted.txt
.venv/bin/dataset-mirror have > have.txt"""
OUTSIDE = """.venv/bin/dataset-mirror fetch --from wanted.txt
.venv/bin/dataset-mirror export bundle.tar --wanted wanted.txt --minus have.txt"""
AGAIN = """.venv/bin/dataset-mirror import bundle.tar
.venv/bin/dataset-mirror check train.py"""
DOCKER = "docker compose up -d"
UPKEEP = """.venv/bin/dataset-mirror status --watch
.venv/bin/dataset-mirror ls --sort size --reverse
.venv/bin/dataset-mirror explain https://data.example.org/sets/a.zip
.venv/bin/dataset-mirror verify 'keras/*'
.venv/bin/dataset-mirror rm keras/boston_housing
.venv/bin/dataset-mirror gc --dry-run
.venv/bin/dataset-mirror report --since 30d
.venv/bin/dataset-mirror doctor"""
BOSTON = "/tensorflow/tf-keras-datasets/boston_housing.npz"
FILE = ROOT / "tests" / "data" / "origin" / "storage.googleapis.com" / BOSTON.lstrip("/")
NO_INDEX = ("No matching distribution found", "Could not find a version", "Connection", "connection", "Temporary failure", "timed out")
"""What pip says where no package can be had."""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of this checkout as it is: tracked files and new ones, without what is ignored."""
    git = shutil.which("git")
    if git is None or not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    listed = subprocess.run([git, "ls-files", "-zco", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    copy = tmp_path / "checkout"
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, copy / name)
    return copy


def outside() -> dict[str, str]:
    """This environment, pip's settings and proxies included, without settings of a mirror and without this virtualenv."""
    ours = ("DATASET_MIRROR_", "VIRTUAL_ENV", "PYTHON")
    return {name: value for name, value in os.environ.items() if not name.startswith(ours)}


def skip_without_index(status: int, said: str) -> None:
    """Skips if pip failed since it has no packages to install, and for no other reason."""
    if status and any(sign in said for sign in NO_INDEX):
        pytest.skip(f"pip cannot install here: {said[-300:]}")


def test_every_command_is_known() -> None:
    """README has these commands, one line each, and no other: a new one needs a test here."""
    pointing = [SETUP, RUN, KERAS_HOME, KERAS_TAR, CURL, ADD]
    assert [SERVE, TEST, DOCKER, *pointing, FETCH, WHEELS, INSIDE, OUTSIDE, AGAIN, UPKEEP] == SHELL


def test_every_verb_and_option_is_known() -> None:
    """Whatever the text names of the command line exists: verbs, and the options behind them."""
    named = re.findall(r"(?<=[`/])dataset-mirror ([a-z]+(?:-[a-z]+)*)\b([^`|&\n]*)", README)
    named += [(verb, rest) for verb, rest in re.findall(r"`([a-z-]+)((?: [^`\n]*)?)`", README) if verb in COMMANDS]
    assert len(named) > 30
    for verb, rest in named:
        assert verb in COMMANDS, verb
        command = program.get_command(click.Context(program), verb)
        assert command is not None
        options = {option for parameter in command.params for option in parameter.opts} | {"--help"}
        assert set(re.findall(r"(?<= )--[a-z][a-z-]*", rest.partition(" -- ")[0])) <= options, (verb, rest)


@pytest.mark.ci
def test_run_it(checkout: Path, tmp_path: Path) -> None:
    """The first command installs the program from a clean checkout and serves; Ctrl-C ends it with 0."""
    known = outside() | {"DATASET_MIRROR_PORT": "0", "DATASET_MIRROR_DATA": str(tmp_path / "data")}
    known |= {"PIP_COMPILE": "0"}  # what is not run need not be compiled
    with (
        (tmp_path / "errors").open("w") as errors,
        subprocess.Popen(
            ["sh", "-c", SERVE], cwd=checkout, env=known, stdout=subprocess.PIPE, stderr=errors, text=True, start_new_session=True
        ) as shell,
    ):
        assert shell.stdout is not None
        try:
            first = next((line for line in shell.stdout if "is listening on http://127.0.0.1:" in line), None)
            if first:
                os.killpg(shell.pid, signal.SIGINT)  # as a terminal does
            status = shell.wait(30)
        finally:
            if shell.poll() is None:
                os.killpg(shell.pid, signal.SIGKILL)
    said = (tmp_path / "errors").read_text()
    if first is None:
        skip_without_index(status, said)
    assert first, said
    assert "Traceback" not in said
    assert status in (0, -signal.SIGINT), said  # a shell that waits for its last command dies of its own SIGINT
    assert (tmp_path / "data" / "layout.json").exists()


def test_test_it() -> None:
    """The second command, which is what runs these tests, is one line that installs what they need; CI takes it from the README."""
    assert TEST.splitlines() == ["python3 -m venv .venv && .venv/bin/pip install -q -e '.[test]' && .venv/bin/pytest"]
    assert "README.md" in (ROOT / ".ci" / "run").read_text()


def test_point_a_client_at_it(mirror: Mirror, origin: Origin, tmp_path: Path) -> None:
    """The curl line downloads the archive from a running mirror."""
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    origin.add(BOSTON, FILE)
    command = shlex.split(CURL.replace("http://127.0.0.1:8080", mirror.url))
    subprocess.run(command, cwd=tmp_path, env=environment(tmp_path, {}), capture_output=True, timeout=PATIENCE, check=True)
    assert (tmp_path / FILE.name).read_bytes() == FILE.read_bytes()


def in_shell(line: str, mirror: Mirror, home: Path, data: Path | None = None) -> str:
    """What a line of README, which is for port 8080, prints in a shell whose home is `home`; it must end well."""
    line = line.replace(".venv/bin/dataset-mirror", PROGRAM).replace("http://127.0.0.1:8080", mirror.url)
    known = environment(home, {"data": str(data or mirror.data)})
    done = subprocess.run(["sh", "-c", line], cwd=home, env=known, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home with a script that nobody may change."""
    (tmp_path / "home").mkdir()
    script = "import hashlib, urllib.request as r; print(hashlib.sha256(r.urlopen(URL).read()).hexdigest())"
    (tmp_path / "home" / "train.py").write_text(script.replace("URL", repr(f"https://storage.googleapis.com{BOSTON}")))
    return tmp_path / "home"


def test_scripts_that_nobody_may_change(mirror: Mirror, origin: Origin, home: Path) -> None:
    """The shell that setup.sh was evaluated in, and a program under `run`, get what their https URLs name from the mirror."""
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    origin.add(BOSTON, FILE)
    digest = hashlib.sha256(FILE.read_bytes()).hexdigest()
    assert in_shell(f"{SETUP}; {shlex.quote(sys.executable)} train.py", mirror, home) == f"{digest}\n"
    assert in_shell(RUN.replace("python", shlex.quote(sys.executable)), mirror, home) == f"{digest}\n"
    assert len(origin.gets(BOSTON)) == 1


@pytest.mark.parametrize("line", [KERAS_HOME, KERAS_TAR], ids=["from the folder", "over HTTP"])
def test_keras_without_any_network(line: str, mirror: Mirror, origin: Origin, home: Path) -> None:
    """Each way puts the archive where Keras looks for it, from where `adopt` takes it into another mirror."""
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    origin.add(BOSTON, FILE)
    assert mirror.get(f"/storage.googleapis.com{BOSTON}").status == 200
    in_shell(line, mirror, home)
    assert (home / ".keras" / "datasets" / FILE.name).read_bytes() == FILE.read_bytes()
    assert "boston_housing" in in_shell(FETCH.splitlines()[1], mirror, home, home / "another")


def test_allow_an_archive(origin: Origin, tmp_path: Path) -> None:
    """The add line makes a running mirror serve, at once, what it refused before."""
    content = b"PK" + body(10_000)
    origin.add("/sets/a.zip", content)
    program, *arguments = shlex.split(ADD)
    assert program == ".venv/bin/dataset-mirror"
    with Mirror(tmp_path / "data", upstreams={HOST: [origin.url]}, grace=1) as mirror:
        assert mirror.archive("/sets/a.zip").status == 403
        known = environment(tmp_path, {"data": str(mirror.data)})
        subprocess.run([PROGRAM, *arguments], cwd=tmp_path, env=known, capture_output=True, timeout=PATIENCE, check=True)
        answer = mirror.archive("/sets/a.zip")
        assert (answer.status, answer.body) == (200, content)


def test_fill_it_ahead_of_time(origin: Origin, tmp_path: Path) -> None:
    """The fetch line asks the origin for each archive that its name and its glob mean, and ends with 1 as the origin has none."""
    program, *arguments = shlex.split(FETCH.splitlines()[0])
    assert program == ".venv/bin/dataset-mirror"
    upstreams = {"storage.googleapis.com": [origin.url]}
    known = environment(tmp_path, {"data": str(tmp_path / "data"), "upstreams": upstreams})
    done = subprocess.run([PROGRAM, *arguments], cwd=tmp_path, env=known, capture_output=True, text=True, timeout=PATIENCE, check=False)
    asked = {request.target.rsplit("/", 1)[-1] for request in origin.requests}
    assert asked == {"mnist.npz", "reuters.npz", "reuters_word_index.json"}
    assert done.returncode == 1
    assert done.stderr.count("404") >= len(asked)


def test_operate_it(mirror: Mirror, origin: Origin, tmp_path: Path) -> None:
    """Each command of the upkeep works beside a running mirror, and says what it is to say."""
    origin.add(BOSTON, FILE)
    assert mirror.get(f"/storage.googleapis.com{BOSTON}").status == 200
    upstreams = {host: [origin.url] for host in (HOST, "storage.googleapis.com", "www.cs.toronto.edu", "huggingface.co")}
    origins = [{"url": f"https://{HOST}", "paths": ["/sets/"]}]
    known = environment(tmp_path, {"data": str(mirror.data), "upstreams": upstreams, "origins": origins})
    said = {}
    for line in UPKEEP.splitlines():
        program, *arguments = shlex.split(line)
        assert program == ".venv/bin/dataset-mirror"
        with subprocess.Popen(
            [PROGRAM, *arguments], env=known, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        ) as process:
            if "--watch" in arguments:
                assert process.stdout is not None
                said["watch"] = process.stdout.readline()
                process.send_signal(signal.SIGINT)
            said[arguments[0]] = process.communicate("y\n", timeout=PATIENCE)[0]
        assert process.returncode == 0, said
    assert mirror.url in said["watch"]
    assert "boston_housing.npz" in said["ls"]
    assert said["explain"].startswith("MISS")
    assert "1 of 1 archive is good" in said["verify"]
    assert "Removed 1 archive" in said["rm"]
    assert "nothing to remove" in said["gc"]
    assert "boston_housing" in said["report"]
    assert "checks passed" in said["doctor"]


def test_the_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The example of mirror.toml is valid, and what it says is in force."""
    for name in [name for name in os.environ if name.startswith("DATASET_MIRROR_")]:
        monkeypatch.delenv(name)
    _, written = TOML
    (tmp_path / "mirror.toml").write_text(written, encoding="utf-8")
    configuration = load(tmp_path / "mirror.toml")
    assert configuration.settings.min_free == 10_000_000_000
    assert configuration.settings.idle_timeout == 30
    (archive,) = configuration.origins.select("https://data.example.org/sets/a.zip")
    expected = configuration.origins.expected(archive)
    assert expected is not None
    assert expected.sha256


def test_the_configuration_of_a_team(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The other example is valid, too, with the line that stands in it as a comment."""
    for name in [name for name in os.environ if name.startswith("DATASET_MIRROR_")]:
        monkeypatch.delenv(name)
    written, _ = TOML
    (tmp_path / "mirror.toml").write_text(written.replace("# upstream_proxy", "upstream_proxy"), encoding="utf-8")
    settings = load(tmp_path / "mirror.toml").settings
    assert (settings.host, settings.token, [kept.name for kept in settings.keep]) == ("0.0.0.0", "change-me", [("keras/*",)])


def test_when_it_says() -> None:
    """Each status and title that the table of answers has is one that the mirror gives."""
    rows = re.findall(r"^\| `(\d{3})`, (.+?) \|", README, re.MULTILINE)
    assert len(rows) > 5
    assert {(int(status), title) for status, title in rows} <= {
        (error.status, error.title) for error in vars(errors).values() if _is_error(error)
    }


def _is_error(known: object) -> bool:
    return isinstance(known, type) and issubclass(known, errors.MirrorError)


def test_figures_of_presets() -> None:
    """The table of presets has the numbers of archives, and of those with a digest, that the presets have."""
    rows = re.findall(r"(?<=^\|---\|---\|---\|\n)(?:^\| `.*\n)+", README, re.MULTILINE)
    for line in "".join(rows).splitlines():
        _, names, archives, digests, _ = line.split("|")
        facts = [facts_of(name, Path(), on=False) for name in re.findall(r"`([a-z-]+)`", names)]
        counted = [one.archives for one in facts]
        assert _numbers(archives) == (counted if any(counted) else []), names
        if any(counted) and "none" not in digests:
            proven = [one.with_digest for one in facts]
            assert _numbers(digests)[: len(facts)] == proven or (digests.strip().startswith("all") and proven == counted), names


def _numbers(cell: str) -> list[int]:
    """What a cell counts, in its order; not the names and hosts behind it."""
    return [
        int(number.replace(",", "")) for number in re.findall(r"\d[\d,]*", re.sub(r"`[^`]*`|on \d+ hosts", "", cell).partition(" by ")[0])
    ]


def test_pictures() -> None:
    """Each picture that the text shows is there, and small."""
    named = re.findall(r"!\[[^]]+\]\(([^)]+)\)", README)
    assert named
    assert [name for name in named if not 0 < (ROOT / name).stat().st_size <= 150_000] == []


def test_what_to_back_up(mirror: Mirror, origin: Origin, tmp_path: Path) -> None:
    """What the text names is a backup: rebuilt from it the mirror serves what it had, keeps its pins, its authority and its key."""
    (sentence,) = re.findall(r"Back up (.*?):", README, re.DOTALL)
    origin.add("/sets/a.bin", body(1000))
    assert mirror.archive("/sets/a.bin").status == 200
    assert mirror.api("pin", names=[f"https://{HOST}/sets/a.bin"]).status == 200
    authority = mirror.get("/ca.pem").body
    mirror.stop()
    copy = tmp_path / "restored"
    copy.mkdir()
    for name in re.findall(r"`([^`]+)`", sentence):
        if (source := mirror.data / name).is_dir():
            shutil.copytree(source, copy / name)
        elif name != "mirror.toml":  # which this mirror has none of
            shutil.copy2(source, copy / name)
    (copy / "layout.json").rename(tmp_path / "layout.json")  # a backup that lacks it is told how to get it
    refused = warm.run("doctor", "--rebuild", "--data", str(copy), env=environment(tmp_path, {})).stderr
    subprocess.run(["sh", "-c", refused.partition("backup: ")[2]], check=True)
    assert (copy / "layout.json").read_text() == (tmp_path / "layout.json").read_text()
    done = warm.run("doctor", "--rebuild", "--data", str(copy), env=environment(tmp_path, {}))
    assert done.returncode == 0, done.stdout + done.stderr
    with Mirror(copy, **mirror._settings) as restored:
        origin.refuse = True
        assert restored.archive("/sets/a.bin").body == body(1000)
        assert [pin["present"] for pin in restored.status["pins"]] == [1]
        assert restored.get("/ca.pem").body == authority
        assert restored.api("verify", archives=[]).status == 200
        assert restored.key == mirror.key


@pytest.mark.parametrize("source", PYTHON)
def test_python(source: str) -> None:
    """A block of Python compiles."""
    compile(source, "README.md", "exec")
