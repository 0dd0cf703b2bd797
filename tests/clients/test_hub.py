"""Real clients of the hub through a mirror, by its URL and by /setup.sh: at first, again, with the hub gone, and offline."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.clients.hub import AUTO, DATA, GATED, MODEL, PAGES, REFUSALS, ROWS, SNAPSHOT
from tests.clients.hubs import WAYS, by_url, filled, mirror_of
from tests.clients.kits import DATASETS, HUB, HUB_0_23, TRANSFORMERS, Kit, ran
from tests.imitations.huggingface import Hub
from tests.serving import PROGRAM, Mirror, environment

BOTH = pytest.mark.parametrize("kit", [HUB, HUB_0_23], ids=lambda kit: kit.name)
EACH_WAY = pytest.mark.parametrize("way", WAYS)
DIGESTS = {path: hashlib.sha256(content).hexdigest() for path, content in MODEL.items()}
MOVED = {**MODEL, "config.json": b'{"model_type": "bert", "hidden_size": 64}', "deep/b.txt": b"moved"}

MOVING = """
import json, sys, urllib.request, huggingface_hub as hub
said = []
for file in ("config.json", "deep/b.txt", "tokenizer.json"):
    path = hub.hf_hub_download("org/model", file)
    said.append(path.split("/snapshots/")[1].split("/")[0])
    print("next", flush=True)
    sys.stdin.readline()
print(json.dumps(said))
"""


@pytest.fixture
def hub() -> Iterator[Hub]:
    with Hub(page=3) as running:
        yield filled(running)


@pytest.fixture
def mirror(hub: Hub, tmp_path: Path) -> Iterator[Mirror]:
    with mirror_of(hub, tmp_path / "data") as running:
        yield running


@EACH_WAY
@BOTH
def test_snapshots(kit: Kit, way: str, hub: Hub, mirror: Mirror, tmp_path: Path) -> None:
    """A snapshot has every byte: cold, on a second machine without asking the hub for a file, with the hub gone, and offline."""
    for number in range(4):
        home = tmp_path / f"machine-{number}"
        assert ran(kit, SNAPSHOT, home, "org/model", "model", variables=WAYS[way](mirror, home)) == DIGESTS
        if number == 0:
            hub.forget()
        if number == 1:
            assert hub.sent == 0
            hub.play_dead()
        if number == 2:
            mirror.restart("--offline")


@EACH_WAY
def test_transformers(way: str, hub: Hub, mirror: Mirror, tmp_path: Path) -> None:
    """A tokenizer and a configuration load cold, warm, with the hub gone and offline, though half of their files do not exist."""
    for number in range(4):
        home = tmp_path / f"machine-{number}"
        assert ran(TRANSFORMERS, AUTO, home, variables=WAYS[way](mirror, home)) == [[1, 2], 32]
        if number == 1:
            hub.play_dead()
        if number == 2:
            mirror.restart("--offline")


@EACH_WAY
@pytest.mark.parametrize("how", ["whole", "streaming"])
def test_datasets(how: str, way: str, hub: Hub, mirror: Mirror, tmp_path: Path) -> None:
    """A data set loads, whole and as a stream: cold, warm, with the hub gone, and offline."""
    for number in range(4):
        home = tmp_path / f"machine-{number}"
        assert ran(DATASETS, DATA, home, how, variables=WAYS[way](mirror, home)) == ROWS
        if number == 1:
            hub.play_dead()
        if number == 2:
            mirror.restart("--offline")


@BOTH
def test_refusals(kit: Kit, mirror: Mirror, tmp_path: Path) -> None:
    """Each refusal is the one that the client has an error of its own for, as without a mirror."""
    entry, revision, repository, gated = ran(kit, REFUSALS, tmp_path, variables=by_url(mirror, tmp_path))
    assert entry.endswith("EntryNotFoundError")
    assert (revision, gated) == ("RevisionNotFoundError", "GatedRepoError")
    assert repository in ("HfHubHTTPError", "LocalEntryNotFoundError")


@EACH_WAY
@BOTH
def test_gated(kit: Kit, way: str, mirror: Mirror, tmp_path: Path) -> None:
    """A gated file is for the token that may have it, and for no other, also once the mirror has it."""
    for number in range(2):
        home = tmp_path / str(number)
        said = ran(kit, GATED, home, variables=WAYS[way](mirror, home))
        assert said[0] == ""
        assert "" not in said[1:]


@BOTH
def test_listings(kit: Kit, mirror: Mirror, tmp_path: Path) -> None:
    """Listings of several pages come through the mirror to their end; some paths are asked for by POST, and kept as asked."""
    for _ in range(2):
        tree, some = ran(kit, PAGES, tmp_path, variables=by_url(mirror, tmp_path))
        assert set(MODEL) < set(tree)
        assert sorted(some) == ["config.json", "deep"]


def test_a_name_that_moves_in_the_middle(hub: Hub, mirror: Mirror, tmp_path: Path) -> None:
    """A run that asks for file after file of a branch gets one revision, though the branch moves meanwhile."""
    known = environment(tmp_path, {}) | by_url(mirror, tmp_path) | {"HF_HOME": str(tmp_path / "hf")}
    ran(HUB_0_23, "print(1)", tmp_path, variables={})
    with subprocess.Popen(
        [str(HUB_0_23.python), "-c", MOVING], env=known, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for _ in range(3):
            assert process.stdout.readline() == "next\n"
            hub.repositories["model", "org/model"].commit(MOVED)
            process.stdin.write("\n")
            process.stdin.flush()
        revisions = set(json.loads(process.stdout.readline()))
    assert len(revisions) == 1


@pytest.mark.parametrize("kit", [HUB], ids=lambda kit: kit.name)
def test_four_ranks(kit: Kit, hub: Hub, mirror: Mirror, tmp_path: Path) -> None:
    """Four processes that take the same cold snapshot, eight files at a time, cost its bytes once."""
    files = {f"part-{number}.safetensors": os.urandom(2_000_000) for number in range(8)} | {"config.json": b"{}"}
    hub.repository("org/large", files)
    variables = by_url(mirror, tmp_path)

    def rank(number: int) -> object:
        return ran(kit, SNAPSHOT, tmp_path / f"rank-{number}", "org/large", "model", variables=variables)

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(rank, range(4)))
    assert all(each == found[0] for each in found)
    assert hub.store.sent <= 1.02 * sum(map(len, files.values()))


def test_a_bundle_inside(hub: Hub, mirror: Mirror, tmp_path: Path) -> None:
    """With an imported bundle an offline mirror lets a tokenizer load within 2 s of the time that it takes without a mirror."""
    ran(TRANSFORMERS, AUTO, tmp_path / "outside", variables=by_url(mirror, tmp_path))
    mirror.stop()
    bundle, known = tmp_path / "bundle.tar", environment(tmp_path, {"presets": ["huggingface"]})
    for command in (["export", str(bundle), "--all", "--data", str(mirror.data)], ["import", str(bundle), "--data", str(tmp_path / "in")]):
        subprocess.run([PROGRAM, *command], env=known, check=True, capture_output=True)
    with Hub(direct=True) as direct:
        filled(direct)
        plain = _seconds(tmp_path / "direct", {"HF_ENDPOINT": direct.url, "HF_HUB_DISABLE_XET": "1"})
    with mirror_of(hub, tmp_path / "in", offline=True) as inside:
        assert _seconds(tmp_path / "inside", by_url(inside, tmp_path)) < plain + 2


def _seconds(home: Path, variables: dict[str, str]) -> float:
    began = time.monotonic()
    assert ran(TRANSFORMERS, AUTO, home, variables=variables) == [[1, 2], 32]
    return time.monotonic() - began


@EACH_WAY
@pytest.mark.timed
def test_full_caches(way: str, hub: Hub, mirror: Mirror, tmp_path: Path) -> None:
    """Jobs whose own caches are full run beside an offline mirror that has nothing, at once."""
    home = tmp_path / "home"
    ran(HUB, SNAPSHOT, home, "org/model", "model", variables=by_url(mirror, home))
    ran(TRANSFORMERS, AUTO, home, variables=by_url(mirror, home))
    with mirror_of(hub, tmp_path / "empty", offline=True) as empty:
        variables, began = WAYS[way](empty, home), time.monotonic()
        assert ran(HUB, SNAPSHOT, home, "org/model", "model", variables=variables) == DIGESTS
        assert ran(TRANSFORMERS, AUTO, home, variables=variables) == [[1, 2], 32]
        assert time.monotonic() - began < 20
