"""A hub and a mirror of it for all tests of a module."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.clients.hubs import filled, mirror_of
from tests.imitations.huggingface import Hub
from tests.serving import Mirror


@pytest.fixture(scope="module")
def hub() -> Iterator[Hub]:
    """A hub with small pages of listings."""
    with Hub(page=3) as running:
        yield filled(running)


@pytest.fixture(scope="module")
def mirror(hub: Hub, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mirror]:
    """A mirror of it."""
    with mirror_of(hub, tmp_path_factory.mktemp("mirror") / "data") as running:
        yield running


@pytest.fixture
def own_hub() -> Iterator[Hub]:
    """A hub for one test, which may change or stop it."""
    with Hub() as running:
        yield filled(running)


@pytest.fixture
def own_mirror(own_hub: Hub, tmp_path: Path) -> Iterator[Mirror]:
    """A mirror of that."""
    with mirror_of(own_hub, tmp_path / "data") as running:
        yield running
