"""`add`, beside a live server and without one."""

import json
import os
import signal
import subprocess
import tomllib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from dataset_mirror.airgap.blocks import allow
from dataset_mirror.airgap.proposals import Proposal
from dataset_mirror.errors import UsageError
from tests import warm
from tests.conftest import StartMirror
from tests.disks import small_disk
from tests.origin import Origin, body
from tests.serving import Mirror, environment
from tests.waiting import until

URL = "https://more.example.org/sets/a.bin"


def add(data: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs `dataset-mirror add`."""
    return warm.run("add", "--data", data, *arguments, env=environment(data.parent, {}))


def wait_until_logged(mirror: Mirror, words: str, times: int = 1) -> None:
    until(lambda: mirror.log.count(words) >= times, words)


def test_the_403_becomes_a_200(origin: Origin, start_mirror: StartMirror) -> None:
    """The command that a 403 names makes the same URL work on the live server."""
    origin.add("/sets/a.bin", body(100_000))
    mirror = start_mirror(upstreams={"more.example.org": [origin.url]}, origins=[])
    refused = mirror.get("/more.example.org/sets/a.bin")
    assert refused.status == 403
    assert refused.problem["command"] == f"dataset-mirror add '{URL}'"
    # The setting from the environment would hide the file's.
    mirror.stop()
    mirror = Mirror(mirror.data, upstreams={"more.example.org": [origin.url]}).start()
    try:
        done = add(mirror.data, URL)
        assert done.returncode == 0, done.stderr
        assert mirror.get("/more.example.org/sets/a.bin").body == body(100_000)
    finally:
        mirror.close()


def test_comments_and_other_blocks_stay(tmp_path: Path) -> None:
    """What stands in mirror.toml stays; the path joins the block of its origin."""
    data = tmp_path / "data"
    data.mkdir()
    file = data / "mirror.toml"
    file.write_text('# why\nmax_fills = 3 # few\n[[origins]]\nurl = "https://more.example.org"\npaths = ["/other/"]\n')
    assert add(data, URL).returncode == 0
    text = file.read_text()
    assert "# why" in text
    assert "# few" in text
    assert tomllib.loads(text)["origins"] == [{"url": "https://more.example.org", "paths": ["/other/", "/sets/"]}]


def test_as_json(tmp_path: Path) -> None:
    """--json says in one object what was allowed, or that nothing had to be, and why it could not be looked at."""
    for is_added in (True, False):
        done = add(tmp_path, URL, "--json")
        known = json.loads(done.stdout)
        assert (done.returncode, known["url"], known["added"]) == (0, URL, is_added)
        assert (known["path"], known["redirects_to"], known["file"]) == ("/sets/" if is_added else None, [], str(tmp_path / "mirror.toml"))
        assert known["status"] is None
        assert "cannot be reached" in known["detail"]


def test_what_is_listed_is_not_added_again(tmp_path: Path) -> None:
    """An archive that may be mirrored already changes nothing."""
    data = tmp_path / "data"
    assert add(data, "https://storage.googleapis.com/tensorflow/tf-keras-datasets/mnist.npz").returncode == 0
    assert not (data / "mirror.toml").exists()


def test_a_file_at_the_top_does_not_allow_its_whole_host(tmp_path: Path) -> None:
    """An archive without a folder is listed alone."""
    assert add(tmp_path, "https://more.example.org/a.bin").returncode == 0
    assert tomllib.loads((tmp_path / "mirror.toml").read_text())["origins"][0]["paths"] == ["/a.bin"]


def test_a_wrong_url_is_wrong_usage(tmp_path: Path) -> None:
    """What is no URL is said in a sentence, and nothing is written."""
    done = add(tmp_path, "ftp://more.example.org/a.bin")
    assert (done.returncode, (tmp_path / "mirror.toml").exists()) == (2, False)
    assert "Traceback" not in done.stderr
    assert "http" in done.stderr


def test_hangup_takes_up_the_file_and_survives_a_wrong_one(origin: Origin, tmp_path: Path) -> None:
    """SIGHUP takes up mirror.toml; a wrong one changes nothing, and the log says why."""
    origin.add("/sets/a.bin", body(100_000))
    with Mirror(tmp_path / "data", upstreams={"more.example.org": [origin.url]}) as mirror:
        file = mirror.data / "mirror.toml"
        file.write_text('[[origins]]\nurl = "https://more.example.org"\npaths = ["/sets/"]\n')
        os.kill(mirror.pid, signal.SIGHUP)
        wait_until_logged(mirror, "Reloaded the configuration")
        assert mirror.get("/more.example.org/sets/a.bin").status == 200
        file.write_text("max_fills = 'many'")
        os.kill(mirror.pid, signal.SIGHUP)
        wait_until_logged(mirror, "The configuration was not reloaded")
        assert mirror.get("/more.example.org/sets/a.bin").status == 200


def test_origins_of_the_environment(tmp_path: Path) -> None:
    """Where the environment's origins count instead of the file's, nothing is written, and what to add there is said."""
    hiding = environment(tmp_path, {"origins": [{"url": "https://other.example.org"}]})
    done = warm.run("add", "--data", tmp_path / "data", URL, env=hiding)
    assert done.returncode == 2
    assert "DATASET_MIRROR_ORIGINS" in done.stderr
    assert "https://more.example.org" in done.stderr
    assert not (tmp_path / "data" / "mirror.toml").exists()


def test_origins_of_the_servers_environment(start_shared_mirror: StartMirror) -> None:
    """A server whose environment hides the file's origins still refuses the URL: the command says so, and so does the API."""
    mirror = start_shared_mirror()
    done = add(mirror.data, URL)
    assert done.returncode == 2
    assert "still refuses" in done.stderr
    assert "DATASET_MIRROR_ORIGINS" in done.stderr
    before = (mirror.data / "mirror.toml").read_text()
    answer = mirror.api("add", url="https://again.example.org/sets/b.bin").problem
    assert answer["status"] == 400
    assert "DATASET_MIRROR_ORIGINS" in answer["detail"]
    assert "again.example.org" in answer["hint"]
    assert (mirror.data / "mirror.toml").read_text() == before


def test_two_at_once(tmp_path: Path) -> None:
    """Of many that add something to one file at once, none takes away what another added."""
    file, hosts = tmp_path / "mirror.toml", [f"{letter}.example.org" for letter in "abcdefghijkl"]
    with ThreadPoolExecutor(len(hosts)) as adding:
        list(adding.map(lambda host: allow(file, Proposal(f"https://{host}", ("/sets/",))), hosts))
    assert sorted(origin["url"] for origin in tomllib.loads(file.read_text())["origins"]) == [f"https://{host}" for host in hosts]


def test_a_file_that_is_a_link(tmp_path: Path) -> None:
    """A mirror.toml that is a link stays one, and the file that it leads to has the block."""
    (tmp_path / "real.toml").write_text("offline = true\n")
    (tmp_path / "mirror.toml").symlink_to("real.toml")
    allow(tmp_path / "mirror.toml", Proposal("https://more.example.org", ("/sets/",)))
    assert (tmp_path / "mirror.toml").is_symlink()
    assert "https://more.example.org" in (tmp_path / "real.toml").read_text()


def test_a_file_that_cannot_be_written(tmp_path: Path) -> None:
    """It is said, with the line to write by hand."""
    with small_disk(tmp_path / "disk") as disk:
        disk.read_only()
        with pytest.raises(UsageError, match=r"mirror\.toml cannot be written: Read-only file system.*by hand: .*more\.example\.org"):
            allow(disk.root / "mirror.toml", Proposal("https://more.example.org", ("/sets/",)))
