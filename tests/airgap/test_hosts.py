"""Hosts across the gap: what only one side lists is named by host, the rest is done, and a proposal says what allows it."""

from __future__ import annotations

import json
import subprocess
import tarfile
import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import tests.store
from dataset_mirror.airgap.proposals import Proposal, in_list, needed, of_line, proposals
from dataset_mirror.origins.identity import parse_url
from dataset_mirror.origins.model import Origin
from dataset_mirror.origins.table import Origins
from tests import warm
from tests.airgap.bundles import tags, tar
from tests.origin import Origin as Server
from tests.origin import body
from tests.serving import Mirror, environment

HOST, CDN, OTHER = "unlisted.example.org", "cdn.example.net", "other.example.com"
BLOCK = {"url": f"https://{HOST}", "paths": ["/sets/", "/rare/"], "redirects_to": [CDN]}
PATHS = [f"/sets/{number}.bin" for number in range(3)]


def run(folder: Path, *arguments: object, typed: str = "", **settings: object) -> subprocess.CompletedProcess[str]:
    """A command on a data folder."""
    known = environment(folder.parent, {"data": str(folder), **settings})
    return warm.run(*arguments, cwd=folder.parent, env=known, typed=typed)


@pytest.fixture(scope="module")
def outside(shared_origin: Server, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """A data folder with three archives of a host that only it lists, and one of another; its settings."""
    folder = tmp_path_factory.mktemp("outside") / "data"
    other = {"url": f"https://{OTHER}", "paths": ["/sets/"]}
    settings: dict[str, Any] = {"origins": [BLOCK, other], "upstreams": {HOST: [shared_origin.url], OTHER: [shared_origin.url]}}
    for number, path in enumerate(PATHS):
        shared_origin.add(path, body(1000, number))
    urls = [f"https://{HOST}{path}" for path in PATHS]
    assert run(folder, "fetch", *urls, f"https://{OTHER}{PATHS[0]}", **settings).returncode == 0
    return folder, settings


@pytest.fixture(scope="module")
def bundle(outside: tuple[Path, dict[str, Any]]) -> Path:
    folder, settings = outside
    file = folder.parent / "bundle.tar"
    assert run(folder, "export", file, "--all", **settings).returncode == 0
    return file


def written(folder: Path) -> list[dict[str, Any]]:
    """The [[origins]] blocks of mirror.toml."""
    blocks: list[dict[str, Any]] = tomllib.loads((folder / "mirror.toml").read_text())["origins"]
    return blocks


def test_a_bundle_proposes(bundle: Path) -> None:
    """bag-info.txt has the origins' blocks, with the paths that the archives need, and is still a bag for everybody."""
    with tarfile.open(bundle) as tar:
        name = next(name for name in tar.getnames() if name.endswith("bag-info.txt"))
        member = tar.extractfile(name)
        assert member is not None
        lines = member.read().decode().splitlines()
    said = [json.loads(line.partition(": ")[2]) for line in lines if line.startswith("Dataset-Mirror-Origin: ")]
    assert said[1] == {"host": HOST, "scheme": "https", "paths": ["/sets/"], "redirects_to": [CDN]}
    assert [one["host"] for one in said] == [OTHER, HOST]


def test_import_by_host(bundle: Path, tmp_path: Path) -> None:
    """What no origin lists is refused once for each host; --allow takes it and writes the block, redirects only if allowed, too."""
    inside = tmp_path / "data"
    refused = run(inside, "import", bundle, origins=[{"url": f"https://{OTHER}", "paths": ["/sets/"]}])
    assert refused.returncode == 1
    assert (
        f"3 archives, which no origin lists here. To take them, and to allow the host: dataset-mirror import --allow {HOST} --allow {CDN}"
        in (refused.stdout + refused.stderr)
    )
    assert (refused.stdout + refused.stderr).count(HOST) == 2
    done = run(inside, "import", bundle, "--allow", HOST, "--allow", OTHER)
    assert done.returncode == 0, done.stdout + done.stderr
    assert {"url": f"https://{HOST}", "paths": ["/sets/"]} in written(inside)
    assert run(inside, "import", bundle).returncode == 0, "it is listed from now on"
    third = tmp_path / "third"
    assert run(third, "import", bundle, "--allow", HOST, "--allow", OTHER, "--allow", CDN).returncode == 0
    assert {"url": f"https://{HOST}", "paths": ["/sets/"], "redirects_to": [CDN]} in written(third)


def test_what_another_host_said(tmp_path: Path) -> None:
    """What a host said that no origin lists costs nothing else of the bundle, and is taken if the host is allowed."""
    fact = {"knows": "ref", "about": f"{HOST}/x@main", "scope": f"{HOST}/x", "checked": 1.0, "commit": "abc123"}
    data, record = body(100), tests.store.record(body(100), parse_url(f"https://{HOST}/sets/a.bin"))
    nowhere = replace(record, archive=parse_url(f"https://{HOST}/sets/b.bin"), sha256="0" * 64)
    files = {"data/a.bin": data}
    (tmp_path / "a.tar").write_bytes(tar([*tags(files, [record.to_line(), json.dumps(fact), nowhere.to_line()]).items(), *files.items()]))
    folder = tmp_path / "data"
    done = run(folder, "import", "a.tar", "--allow", HOST)
    assert f"No origin is named {HOST}" not in done.stderr
    assert f"failed   {nowhere.url}: The bytes of" in done.stderr
    done = run(tmp_path / "other", "import", "a.tar")
    assert f"failed   a line of archives.ndjson: No origin is named {HOST}." in done.stderr
    assert f"failed   {HOST}: 2 archives, which no origin lists here." in done.stderr


def test_import_beside_a_mirror(bundle: Path, tmp_path: Path) -> None:
    """A running mirror serves what was allowed by import at once."""
    with Mirror(tmp_path / "data") as mirror:
        assert mirror.get(f"/{HOST}{PATHS[0]}").status == 403
        assert run(mirror.data, "import", bundle, "--allow", HOST, "--allow", OTHER).returncode == 0
        assert mirror.get(f"/{HOST}{PATHS[0]}").body == body(1000, 0)


def test_the_loop(shared_origin: Server, tmp_path: Path) -> None:
    """What an offline mirror refused of an unlisted host comes back: wanted, fetched with --allow, exported, imported with --allow."""
    shared_origin.add(PATHS[1], body(1000, 1))
    with Mirror(tmp_path / "inside", offline=True) as inside:
        assert inside.get(f"/{HOST}{PATHS[1]}").status == 403
        text = run(inside.data, "wanted", "--export", "-").stdout
        assert f"https://{HOST}{PATHS[1]}  # unlisted, asked for once" in text
        assert in_list(text) == [Proposal(f"https://{HOST}", ("/sets/",))]
        outside = tmp_path / "outside"
        settings = {"upstreams": {HOST: [shared_origin.url]}}
        assert run(outside, "fetch", "--from", "-", typed=text, **settings).returncode == 1
        done = run(outside, "fetch", "--from", "-", "--allow", HOST, typed=text, **settings)
        assert done.returncode == 0, done.stdout + done.stderr
        assert written(outside) == [{"url": f"https://{HOST}", "paths": ["/sets/"]}]
        assert run(outside, "export", "b.tar", "--all").returncode == 0
        assert run(inside.data, "import", "b.tar", "--allow", HOST, offline="true").returncode == 0
        assert inside.get(f"/{HOST}{PATHS[1]}").body == body(1000, 1)
        assert "unlisted" not in run(inside.data, "wanted").stdout


def test_fetch_beside_a_mirror_by_url(shared_origin: Server, tmp_path: Path) -> None:
    """--allow works where --mirror names the mirror of the data folder here, which takes it up at once."""
    url = f"https://{HOST}{PATHS[0]}"
    shared_origin.add(PATHS[0], body(1000, 0))
    with Mirror(tmp_path / "data", upstreams={HOST: [shared_origin.url]}) as mirror:
        done = run(mirror.data, "fetch", url, "--allow", HOST, "--mirror", f"{mirror.url}/")
        assert (done.returncode, done.stdout.startswith(f"fetched  {url}")) == (0, True), done.stderr


def test_whose_host_is_asked_for(tmp_path: Path) -> None:
    """Another mirror's configuration is not changed by --allow."""
    done = run(tmp_path / "data", "fetch", f"https://{HOST}/sets/a", "--allow", HOST, "--mirror", "http://127.0.0.1:9")
    assert (done.returncode, "mirror.toml here" in done.stderr) == (2, True)


@pytest.mark.parametrize(
    "line",
    [
        "",
        "[]",
        "null",
        "{",
        '{"host": "a.example.org"}',
        '{"host": "a b", "scheme": "https", "paths": ["/"]}',
        '{"host": "a.example.org", "scheme": "file", "paths": ["/"]}',
        '{"host": "a.example.org", "scheme": "https", "paths": ["/../"]}',
        '{"host": "a.example.org", "scheme": "https", "paths": ["/"], "redirects_to": ["*.com"]}',
        "[" * 10_000,
    ],
)
def test_hostile_proposals(line: str) -> None:
    """What could not stand in mirror.toml is no proposal."""
    assert of_line(line) is None


def test_what_is_written() -> None:
    """Only hosts that were allowed, with what is missing of them; a redirect that nobody allowed is left out."""
    archives = [parse_url(f"https://{HOST}/sets/a.bin"), parse_url(f"https://{OTHER}/b.bin")]
    known = Origins([], [Origin(url=f"http://{HOST}", paths=("/sets/", "/"), redirects_to=(CDN,))])
    proposed = proposals(archives, known)
    assert proposed == [Proposal(f"https://{OTHER}", ("/b.bin",)), Proposal(f"http://{HOST}", ("/sets/",), (CDN,))]
    assert [of_line(one.to_line()) for one in proposed] == proposed
    assert needed(archives, Origins([], []), proposed, [HOST]) == [Proposal(f"http://{HOST}", ("/sets/",))]
