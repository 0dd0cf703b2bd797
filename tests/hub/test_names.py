"""Whole repositories by name, as people type them: on a data folder, beside a running mirror, and on one elsewhere."""

from __future__ import annotations

import json
import signal
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import warm
from tests.clients.hub import DATA_SET, MODEL
from tests.clients.hubs import HOST, mirror_of
from tests.imitations.huggingface import Hub
from tests.imitations.server import Asked, Said, Server
from tests.serving import PATIENCE, Mirror, environment
from tests.waiting import until

FILES, BESIDES = len(MODEL), 4
"""Of the model: its files; and three pages of the listing, with what tells of its revision."""
OWN = """
about = "A hub of our own"
[[names]]
name = "lab:*/*"
origin = "https://hub.lab.example"
ref = "trunk"
revision = "/v1/{scope}/at/{ref}"
tree = { ask = "/v1/{scope}/files/{commit}?all=1", list = "tree", path = "name", size = "bytes", files = { kind = "blob" } }
file = "/{scope}/-/{commit}/{path}"

[[origins]]
url = "https://hub.lab.example"
paths = ["/"]

[[origins.rules]]
match = ["/v1/{repo}/at/{commit}", "/v1/{repo}/files/{commit}", "/{repo}/-/{commit}/**"]
scope = "{repo}"
freshness = "never"

[[origins.rules]]
match = "/v1/{repo}/at/{ref}"
scope = "{repo}"
ref = { json = "id" }
"""


def run(hub: Hub, data: Path, *arguments: str, **more: Any) -> subprocess.CompletedProcess[str]:
    """A command on a data folder, or beside the mirror that runs on it."""
    settings: dict[str, Any] = {"data": str(data), "presets": ["huggingface"], "upstreams": hub.upstreams}
    return warm.run(*arguments, cwd=data.parent, env=environment(data.parent, settings | more))


def urls(hub: Hub, data: Path, *arguments: str) -> list[str]:
    done = run(hub, data, "ls", "--json", *arguments)
    assert done.returncode == 0, done.stderr
    return [json.loads(line)["url"] for line in done.stdout.splitlines()]


@pytest.fixture(scope="module")
def data(hub: Hub, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder without a server, into which the model and the data set were fetched."""
    place = tmp_path_factory.mktemp("names") / "data"
    done = run(hub, place, "fetch", "hf:org/model", "hf:datasets/org/set@main")
    assert done.returncode == 0, done.stderr
    assert f"{FILES + BESIDES + len(DATA_SET) + 4} of" in done.stdout
    return place


@pytest.fixture
def serving(data: Path, hub: Hub) -> Iterator[Mirror]:
    """A mirror that runs on the folder."""
    with mirror_of(hub, data) as running:
        yield running


def test_everything_of_it(data: Path, hub: Hub) -> None:
    """All files of the commit are there under their own URLs, with the answers of the API that clients ask for; a repeat costs nothing."""
    commit = hub.repositories["model", "org/model"].refs["main"]
    found = urls(hub, data, "hf:org/model")
    assert {f"https://{HOST}/org/model/resolve/{commit}/{path}" for path in MODEL} < set(found)
    assert len(found) == FILES + BESIDES
    assert not any("/set/" in url for url in found)
    before = hub.sent
    assert f"{FILES + BESIDES} of {FILES + BESIDES} archives are there" in run(hub, data, "fetch", f"hf:org/model@{commit}").stdout
    assert hub.sent == before


@pytest.mark.parametrize("where", ["here", "beside", "elsewhere"])
def test_it_is_known_everywhere(where: str, data: Path, hub: Hub, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """ls, check, verify, explain, pin and unpin know the name, on a folder, beside a mirror and with --mirror."""
    options: list[str] = []
    if where != "here":
        options = ["--mirror", request.getfixturevalue("serving").url] if where == "elsewhere" else []
        request.getfixturevalue("serving")
    place = tmp_path / "none" if where == "elsewhere" else data
    key = {"token": (data / "api.key").read_text().strip()} if where == "elsewhere" else {}

    def said(*arguments: str) -> str:
        done = run(hub, place, *arguments, *options, **key)
        assert done.returncode == 0, (arguments, done.stdout, done.stderr)
        return done.stdout

    assert len(said("ls", "hf:org/model", "--json").splitlines()) == FILES + BESIDES
    assert f"All {FILES + BESIDES} archives are there" in said("check", "hf:org/model")
    assert said("check", "https://huggingface.co/org/model/resolve/main/config.json")
    assert f"{FILES + BESIDES} of {FILES + BESIDES} archives are good" in said("verify", "hf:org/model@main")
    assert said("explain", "hf:org/model").startswith("HIT (200)  hf:org/model\n")
    assert f"{FILES + BESIDES} of {FILES + BESIDES} archives" in said("pin", "hf:org/model")
    assert said("unpin", "hf:org/model")
    assert f"{FILES + BESIDES} of {FILES + BESIDES} archives are there" in said("fetch", "hf:org/model")
    if where == "here":
        return  # the rest is the same code there
    said("pin", "hf:org/*")
    assert "is pinned" in run(hub, place, "rm", "-y", "hf:org/model", *options, **key).stderr
    said("unpin", "hf:org/*")
    assert f"Removed {FILES + BESIDES} archives" in said("rm", "-y", "https://huggingface.co/org/model/tree/main")
    assert "explain hf:org/model" in run(hub, place, "verify", "hf:org/model", *options, **key).stderr
    said("fetch", "https://huggingface.co/org/model")


def test_damage_is_mended_by_name(own_hub: Hub, tmp_path: Path) -> None:
    """`verify hf:...` over HTTP finds a file of a repository that is damaged, and the mirror fetches it again."""
    data = tmp_path / "data"
    assert run(own_hub, data, "fetch", "hf:org/model").returncode == 0
    with mirror_of(own_hub, data) as mirror:
        whole = next(blob for blob in mirror.blobs if blob.read_bytes() == MODEL["model.safetensors"])
        whole.chmod(0o600)
        whole.write_bytes(MODEL["model.safetensors"][:-1] + b"!")
        key = {"token": (data / "api.key").read_text().strip()}
        done = run(own_hub, tmp_path / "none", "verify", "hf:org/model@main", "--mirror", mirror.url, "--json", **key)
        steps = [json.loads(line) for line in done.stdout.splitlines()]
        assert [step["url"].rpartition("/")[2] for step in steps if step["state"] == "damaged"] == ["model.safetensors"]
        assert (done.returncode, steps[-1]["state"]) == (0, "fetched")
        elsewhere = run(own_hub, tmp_path / "none", "export", "b.tar", "hf:org/model", "--mirror", mirror.url, **key)
        assert (elsewhere.returncode, "Run it on that mirror's machine" in elsewhere.stderr) == (2, True)
        assert run(own_hub, data, "export", str(tmp_path / "b.tar"), "hf:org/model").returncode == 0


def test_names_that_mean_nothing(data: Path, hub: Hub) -> None:
    """A name of no known shape is wrong usage, with what names look like; one that the hub does not have fails, with its words."""
    shape = run(hub, data, "fetch", "hf:dataset/org/set")
    assert (shape.returncode, "hf:datasets/*/*" in shape.stderr) == (2, True)
    file = run(hub, data, "ls", "hf:org/model/a/config.json")
    assert (file.returncode, "is https://huggingface.co/org/model/resolve/main/a/config.json" in file.stderr) == (2, True)
    several = run(hub, data, "fetch", "hf:org/*")
    assert (several.returncode, "dataset-mirror ls 'hf:org/*'" in several.stderr) == (2, True)
    assert "hf:org/model is already allowed" in run(hub, data, "add", "https://huggingface.co/org/model").stdout
    prefix = run(hub, data, "ls", "hg:org/model")
    assert (prefix.returncode, "begin with hf:" in prefix.stderr) == (2, True)
    done = run(hub, data, "fetch", "hf:org/none", "hf:org/model@v9", "hf:org/gated")
    assert done.returncode == 1
    assert "answers 401 for hf:org/none" in done.stderr
    assert "answers 404 for hf:org/model@v9: Invalid rev id: v9." in done.stderr
    assert done.stderr.count("hf:org/gated: Access to model org/gated is restricted") == 1
    assert run(hub, data, "ls", "hf:org/model@v9").returncode == 2


def test_a_bundle_of_it(data: Path, hub: Hub, tmp_path: Path) -> None:
    """A bundle of a name has all that belongs to it: an offline mirror knows its branch, its files, and which files it has not."""
    bundle, inside = str(tmp_path / "b.tar"), tmp_path / "in"
    assert run(hub, data, "export", bundle, "hf:org/model").returncode == 0
    assert run(hub, inside, "import", bundle).returncode == 0
    assert run(hub, inside, "check", "hf:org/model").returncode == 0
    with mirror_of(hub, inside, offline=True) as mirror:
        page = mirror.get(f"/{HOST}/api/models/org/model/tree/main?recursive=true&expand=false")
        assert page.status == 200
        assert mirror.get(f"/{HOST}/org/model/resolve/main/config.json").body == MODEL["config.json"]
        absent = mirror.get(f"/{HOST}/org/model/resolve/main/special_tokens_map.json", "HEAD")
        assert (absent.status, absent.fields["x-error-code"]) == (404, "EntryNotFound")
        assert json.loads(mirror.get("/status/wanted").body)["wanted"] == []
        assert mirror.get(f"/{HOST}/api/models/org/other/revision/v2").status == 404
        assert "hf:org/other@v2  #" in run(hub, inside, "wanted", "--export", "-").stdout


def test_what_is_not_whole(data: Path, hub: Hub, tmp_path: Path) -> None:
    """Of a repository that lacks a file check and export say so, with the command that gets it; so they do if nothing is known of it."""
    commit = hub.repositories["dataset", "org/set"].refs["main"]
    assert run(hub, data, "rm", "-y", f"https://{HOST}/datasets/org/set/resolve/{commit}/data/train.csv").returncode == 0
    checked = run(hub, data, "check", "hf:datasets/org/set", "hf:org/other", "--want")
    assert checked.returncode == 1
    assert "dataset-mirror fetch hf:datasets/org/set hf:org/other" in checked.stdout
    assert "hf:org/other@main  #" in run(hub, data, "wanted", "--export", "-").stdout
    exported = run(hub, data, "export", str(tmp_path / "b.tar"), "hf:datasets/org/set")
    assert (exported.returncode, "hf:datasets/org/set is not complete" in exported.stderr) == (1, True)
    assert run(hub, data, "explain", "hf:datasets/org/set").stdout.startswith("MISS")
    assert run(hub, data, "fetch", "hf:datasets/org/set").returncode == 0
    assert run(hub, data, "check", "hf:datasets/org/set").returncode == 0


def test_revisions_apart(own_hub: Hub, tmp_path: Path) -> None:
    """Without a revision a name means all that is stored of it, with one only that; a glob means several repositories."""
    data, repository = tmp_path / "data", own_hub.repositories["model", "org/model"]
    old = repository.refs["main"]
    repository.commit({**MODEL, "config.json": b"{}"}, "next/v2")
    assert run(own_hub, data, "fetch", "hf:org/model", "hf:org/model@next/v2").returncode == 0
    whole, first = urls(own_hub, data, "hf:org/model"), urls(own_hub, data, "hf:org/model@main")
    assert len(whole) == 2 * len(first) == 2 * (FILES + 2)
    assert urls(own_hub, data, "hf:org/*") == whole
    assert run(own_hub, data, "rm", "-y", "hf:org/model@next/v2").returncode == 0
    assert urls(own_hub, data, "hf:org/model") == first
    assert all(old in url for url in first)


def test_progress_is_of_the_whole(own_hub: Hub, tmp_path: Path) -> None:
    """What is to come is told before it comes, with sizes, so that the whole can be added up; several files come at once."""
    parts = {f"part-{number}.bin": bytes(300_000) + bytes([number]) for number in range(8)}
    own_hub.repository("org/large", {"config.json": b"{}", **parts})
    meeting = threading.Barrier(4)
    answer = own_hub.store._answer

    def together(asked: Asked) -> Said:
        meeting.wait(PATIENCE)
        return answer(asked)

    own_hub.store._answer = together
    done = run(own_hub, tmp_path / "data", "fetch", "--json", "hf:org/large")
    assert done.returncode == 0, done.stderr
    steps = [json.loads(line) for line in done.stdout.splitlines()]
    announced = [step for step in steps if step["state"] == "waiting"]
    assert sum(step["total"] or 0 for step in announced) == 8 * 300_001 + 2
    assert {step["url"] for step in steps if step["state"] in ("fetched", "present")} >= {step["url"] for step in announced}


def test_an_interrupted_one_goes_on(own_hub: Hub, tmp_path: Path) -> None:
    """Ctrl-C ends it with 130 and says what is kept; the next run fetches only the rest."""
    own_hub.repository("org/large", {f"part-{number}.bin": bytes(1000) + bytes([number]) for number in range(6)})
    released, answer, data = threading.Event(), own_hub.store._answer, tmp_path / "data"

    def holding(asked: Asked) -> Said:
        if own_hub.store.count() > 4:
            released.wait(PATIENCE)
        return answer(asked)

    own_hub.store._answer = holding
    settings: dict[str, Any] = {"data": str(data), "presets": ["huggingface"], "upstreams": own_hub.upstreams}
    known = environment(tmp_path, settings)
    with (tmp_path / "err").open("w") as err:
        process = warm.Process.piped(["fetch", "--json", "hf:org/large"], err.fileno(), known, tmp_path)
    assert process.stdout is not None
    fetched = 0
    while fetched < 3:
        fetched += '"fetched"' in process.stdout.readline()
    process.send_signal(signal.SIGINT)
    assert process.wait(PATIENCE) == 130
    process.stdout.close()
    released.set()
    said = (tmp_path / "err").read_text()
    assert "Interrupted." in said
    assert "Run the same command again" in said
    own_hub.store.forget()
    assert run(own_hub, data, "fetch", "hf:org/large").returncode == 0
    assert own_hub.store.count("GET") < 6
    assert run(own_hub, data, "check", "hf:org/large").returncode == 0


def test_a_pinned_one_is_fetched(own_hub: Hub, tmp_path: Path) -> None:
    """A running mirror fetches all of a pinned repository, and keeps it."""
    with mirror_of(own_hub, tmp_path / "data") as mirror:
        assert run(own_hub, mirror.data, "pin", "hf:org/model").returncode == 0
        until(lambda: mirror.status["pins"][0]["present"] == FILES + 2)
        assert "is pinned" in run(own_hub, mirror.data, "rm", "-y", "hf:org/model").stderr


def test_a_hub_of_their_own(tmp_path: Path) -> None:
    """A preset of one's own names repositories of another hub, whose API has other paths and other keys."""
    commit = "ab" * 20
    answers = {
        "/v1/team/set/at/trunk": json.dumps({"id": commit}),
        f"/v1/team/set/at/{commit}": json.dumps({"id": commit}),
        f"/v1/team/set/files/{commit}": json.dumps(
            {"tree": [{"kind": "blob", "name": "a b/c.txt", "bytes": 3}, {"kind": "tree", "name": "a b"}, {"kind": "blob", "name": "d"}]}
        ),
        f"/team/set/-/{commit}/a b/c.txt": "abc",
        f"/team/set/-/{commit}/d": "d",
    }

    def answer(asked: Asked) -> Said:
        known = answers.get(asked.path)
        return Said(404) if known is None else Said(200, {"Content-Type": "application/octet-stream"}, known.encode())

    (tmp_path / "own.toml").write_text(OWN)
    with Server(answer) as server:
        settings: dict[str, Any] = {
            "data": str(tmp_path / "data"),
            "presets": ["huggingface", str(tmp_path / "own.toml")],
            "upstreams": {"hub.lab.example": [server.url]},
        }
        known = environment(tmp_path, settings)
        done = warm.run("fetch", "lab:team/set", env=known, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        assert "4 of 4 archives" in done.stdout
        assert "a%20b/c.txt" in warm.run("ls", "lab:team/set@trunk", env=known, cwd=tmp_path).stdout
        assert "answers 404 for lab:team/none" in warm.run("fetch", "lab:team/none", env=known, cwd=tmp_path).stderr
