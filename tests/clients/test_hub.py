"""Real clients of the hub through a mirror, by its URL and by /setup.sh: at first, again, with the hub gone, and offline."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.clients.hub import AUTO, CACHED, DATA, GATED, MODEL, PAGES, REFUSALS, ROWS, SNAPSHOT, TABLE, TAKEN, WIDE_ROWS
from tests.clients.hubs import WAYS, by_url, filled, mirror_of
from tests.clients.kits import DATASETS, HUB, HUB_0_23, TRANSFORMERS, Kit, ran
from tests.imitations.huggingface import Hub
from tests.serving import PROGRAM, Mirror, environment

LONG = pytest.mark.clients
"""Left to `python -m tests.clients`: the same once more, by another way or another version, or what is slow to start."""


def each(*quick: tuple[object, ...], kits: Sequence[Kit] = (HUB, HUB_0_23), ways: Sequence[str] = tuple(WAYS)) -> pytest.MarkDecorator:
    """Every kit by every way; those that are not `quick` are long."""
    pairs = [(kit, way) for kit in kits for way in ways]
    cases = [pytest.param(*pair, id=f"{pair[0].name}-{pair[1]}", marks=() if pair in quick else LONG) for pair in pairs]
    return pytest.mark.parametrize(("kit", "way"), cases)


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


PHASES = ("cold", "warm", "hub gone", "offline")


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mirror]:
    """A mirror for all tests that neither change the hub nor restart the mirror."""
    with Hub(page=3) as hub, mirror_of(filled(hub), tmp_path_factory.mktemp("shared") / "data") as running:
        yield running


@pytest.fixture
def hub() -> Iterator[Hub]:
    with Hub(page=3) as running:
        yield filled(running)


@pytest.fixture
def mirror(hub: Hub, tmp_path: Path) -> Iterator[Mirror]:
    with mirror_of(hub, tmp_path / "data") as running:
        yield running


def in_all_phases(hub: Hub, mirror: Mirror, way: str, place: Path, run: Callable[[Path, dict[str, str]], None]) -> None:
    """Four machines that have nothing yet: the first, a second one that costs the hub no file, one with the hub gone, one offline."""
    for phase in PHASES:
        home = place / phase
        run(home, WAYS[way](mirror, home))
        if phase == "cold":
            hub.store.forget()
        elif phase == "warm":
            assert hub.store.sent == 0
            hub.play_dead()
        elif phase == "hub gone":
            mirror.restart("--offline")


@each((HUB, "setup.sh"))
def test_snapshots(kit: Kit, way: str, hub: Hub, mirror: Mirror, tmp_path: Path) -> None:
    """A snapshot has every byte in all phases."""

    def run(home: Path, variables: dict[str, str]) -> None:
        assert ran(kit, SNAPSHOT, home, "org/model", "model", variables=variables) == DIGESTS

    in_all_phases(hub, mirror, way, tmp_path, run)


@LONG
@each(kits=[TRANSFORMERS])
def test_transformers(kit: Kit, way: str, hub: Hub, mirror: Mirror, tmp_path: Path) -> None:
    """A tokenizer and a configuration load in all phases, though half of their files do not exist."""

    def run(home: Path, variables: dict[str, str]) -> None:
        assert ran(kit, AUTO, home, variables=variables) == [[1, 2], 32]

    in_all_phases(hub, mirror, way, tmp_path, run)


@pytest.fixture(scope="module")
def parquet(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A table that its own library wrote."""
    place = tmp_path_factory.mktemp("parquet")
    (place / "rows.json").write_text(json.dumps(WIDE_ROWS))
    ran(DATASETS, TABLE, place, "train.parquet", variables={})
    return (place / "train.parquet").read_bytes()


@LONG
@each(kits=[DATASETS])
@pytest.mark.parametrize("how", ["whole", "streaming"])
def test_csv(how: str, kit: Kit, way: str, hub: Hub, mirror: Mirror, tmp_path: Path) -> None:
    """A data set of CSV loads in all phases, whole and as a stream."""

    def run(home: Path, variables: dict[str, str]) -> None:
        assert ran(kit, DATA, home, "org/set", how, variables=variables) == ROWS

    in_all_phases(hub, mirror, way, tmp_path, run)


@LONG
@each(kits=[DATASETS])
@pytest.mark.parametrize("how", ["whole", "streaming"])
def test_parquet(how: str, kit: Kit, way: str, parquet: bytes, hub: Hub, mirror: Mirror, tmp_path: Path) -> None:
    """A data set of Parquet, which streams read in pieces, loads in all phases; it leaves the hub once."""
    hub.repository("org/table", {"README.md": b"# A table\n", "data/train-00000-of-00001.parquet": parquet}, "dataset")
    sent = []

    def run(home: Path, variables: dict[str, str]) -> None:
        assert ran(kit, DATA, home, "org/table", how, variables=variables) == WIDE_ROWS
        sent.append(hub.store.sent)

    in_all_phases(hub, mirror, way, tmp_path, run)
    assert sent[0] <= 1.02 * len(parquet)


@each((HUB, "url"), ways=["url"])
def test_refusals(kit: Kit, way: str, shared: Mirror, tmp_path: Path) -> None:
    """Each refusal is the one that the client has an error of its own for, as without a mirror."""
    entry, revision, repository, gated = ran(kit, REFUSALS, tmp_path, variables=WAYS[way](shared, tmp_path))
    assert entry.endswith("EntryNotFoundError")
    assert (revision, gated) == ("RevisionNotFoundError", "GatedRepoError")
    assert repository in ("HfHubHTTPError", "LocalEntryNotFoundError")


@LONG
@each()
def test_gated(kit: Kit, way: str, shared: Mirror, tmp_path: Path) -> None:
    """A gated file is for the token that may have it, and for no other, also once the mirror has it."""
    for number in range(2):
        home = tmp_path / str(number)
        said = ran(kit, GATED, home, variables=WAYS[way](shared, home))
        assert said[0] == ""
        assert "" not in said[1:]


@LONG
@each(ways=["url"])
def test_listings(kit: Kit, way: str, shared: Mirror, tmp_path: Path) -> None:
    """Listings of several pages come through the mirror to their end; some paths are asked for by POST, and kept as asked."""
    for _ in range(2):
        tree, some = ran(kit, PAGES, tmp_path, variables=WAYS[way](shared, tmp_path))
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


@each((HUB, "url"))
def test_four_ranks(kit: Kit, way: str, hub: Hub, mirror: Mirror, tmp_path: Path) -> None:
    """Four processes that take the same cold snapshot, eight files at a time, cost its bytes once."""
    files = {f"part-{number}.safetensors": os.urandom(500_000) for number in range(8)} | {"config.json": b"{}"}
    hub.repository("org/large", files)

    def rank(number: int) -> dict[str, str]:
        home = tmp_path / f"rank-{number}"
        found: dict[str, str] = ran(kit, SNAPSHOT, home, "org/large", "model", variables=WAYS[way](mirror, home))
        return found

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(rank, range(4)))
    assert all(each == found[0] for each in found)
    assert len(files) == len(found[0])
    assert hub.store.sent <= 1.02 * sum(map(len, files.values()))


@LONG
@pytest.mark.timed
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


@LONG
@each()
@pytest.mark.parametrize("cached", ["whole", "partial"])
def test_their_own_caches(cached: str, kit: Kit, way: str, hub: Hub, mirror: Mirror, tmp_path: Path) -> None:
    """What a job has in its own cache it gets beside an offline mirror that has nothing; else it hears what it hears without a network."""
    program, arguments = (SNAPSHOT, ("org/model", "model")) if cached == "whole" else (TAKEN, ("config.json",))
    for name in ("beside", "alone"):
        ran(kit, program, tmp_path / name, *arguments, variables=by_url(mirror, tmp_path))
    with mirror_of(hub, tmp_path / "empty", offline=True) as empty:
        beside = ran(kit, CACHED, tmp_path / "beside", variables=WAYS[way](empty, tmp_path / "beside"))
    nowhere = {"HF_ENDPOINT": "http://127.0.0.1:9", **({"HF_HUB_OFFLINE": "1"} if way == "setup.sh" else {})}
    assert beside == ran(kit, CACHED, tmp_path / "alone", variables=nowhere)
    assert beside[0] == DIGESTS["config.json"]


@LONG
@pytest.mark.timed
@each(kits=[TRANSFORMERS])
def test_full_caches_of_transformers(kit: Kit, way: str, hub: Hub, mirror: Mirror, tmp_path: Path) -> None:
    """A tokenizer and a configuration that a job has load beside an offline mirror that has nothing, at once."""
    home = tmp_path / "home"
    ran(kit, AUTO, home, variables=by_url(mirror, home))
    with mirror_of(hub, tmp_path / "empty", offline=True) as empty:
        variables, began = WAYS[way](empty, home), time.monotonic()
        assert ran(kit, AUTO, home, variables=variables) == [[1, 2], 32]
        assert time.monotonic() - began < 20
