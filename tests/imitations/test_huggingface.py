"""The imitation of the hub is one for its real clients: without any mirror they do with it what they do with the hub."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.clients.hub import AUTO, DATA, DATA_SET, GATED, MODEL, PAGES, REFUSALS, ROWS, SNAPSHOT
from tests.clients.kits import DATASETS, HUB, HUB_0_23, TRANSFORMERS, Kit, ran
from tests.imitations.huggingface import Hub

BOTH = pytest.mark.parametrize("kit", [HUB, HUB_0_23], ids=lambda kit: kit.name)
DIGESTS = {path: hashlib.sha256(content).hexdigest() for path, content in MODEL.items()}


@pytest.fixture(scope="module")
def hub() -> Iterator[Hub]:
    """A hub with small pages of listings, one that clients reach without a mirror."""
    with Hub(direct=True, page=3) as running:
        running.repository("org/model", MODEL)
        running.repository("org/set", DATA_SET, "dataset")
        running.repository("org/gated", {"x.bin": b"gated"}, gated=True, readers={"anna"})
        running.tokens = {"good": "anna", "other": "bert"}
        running.renamed = {"/old": "/org/model"}
        yield running


@pytest.fixture
def variables(hub: Hub) -> dict[str, str]:
    hub.forget()
    return {"HF_ENDPOINT": hub.url, "HF_HUB_DISABLE_XET": "1"}


@BOTH
def test_snapshots(kit: Kit, hub: Hub, variables: dict[str, str], tmp_path: Path) -> None:
    """A snapshot has every byte: of small files, large ones, and empty ones; a renamed repository is found."""
    assert ran(kit, SNAPSHOT, tmp_path, "org/model", "model", variables=variables) == DIGESTS
    assert hub.store.count("GET", "") == 1
    assert ran(kit, SNAPSHOT, tmp_path, "old", "model", variables=variables) == DIGESTS
    assert set(ran(kit, SNAPSHOT, tmp_path, "org/set", "dataset", variables=variables)) == set(DATA_SET)


@BOTH
def test_refusals(kit: Kit, variables: dict[str, str], tmp_path: Path) -> None:
    """Each refusal is the one that the client has an error of its own for."""
    entry, revision, repository, gated = ran(kit, REFUSALS, tmp_path, variables=variables)
    assert entry.endswith("EntryNotFoundError")
    assert (revision, gated) == ("RevisionNotFoundError", "GatedRepoError")
    assert repository in ("HfHubHTTPError", "LocalEntryNotFoundError")  # it tells nobody whether there is one


@BOTH
def test_gated(kit: Kit, variables: dict[str, str], tmp_path: Path) -> None:
    """A gated file is for the token that may have it, and for no other; the store host never gets a token."""
    assert ran(kit, GATED, tmp_path, variables=variables)[0] == ""
    assert "" not in ran(kit, GATED, tmp_path / "other", variables=variables)[1:]


@BOTH
def test_listings(kit: Kit, hub: Hub, variables: dict[str, str], tmp_path: Path) -> None:
    """Listings come in pages, each of which names the next one; some paths are asked for by POST."""
    tree, some = ran(kit, PAGES, tmp_path, variables=variables)
    assert set(MODEL) < set(tree)
    assert sorted(some) == ["config.json", "deep"]
    assert len([asked for asked in hub.server.asked if "/tree/" in asked.path]) == 3


def test_transformers(variables: dict[str, str], tmp_path: Path) -> None:
    """A tokenizer and a configuration load, though half of the files that they ask for are not there."""
    assert ran(TRANSFORMERS, AUTO, tmp_path, variables=variables) == [[1, 2], 32]


@pytest.mark.parametrize("way", ["whole", "streaming"])
def test_datasets(way: str, variables: dict[str, str], tmp_path: Path) -> None:
    """A data set loads, whole and as a stream."""
    assert ran(DATASETS, DATA, tmp_path, "org/set", way, variables=variables) == ROWS
