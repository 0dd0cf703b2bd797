"""The parts that end-to-end tests are made of: an origin, and mirrors of it."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from dataset_mirror.store.changes import MIRROR, act_as
from tests.origin import Origin
from tests.serving import Mirror, folders, mirroring

StartMirror = Callable[..., Mirror]

gc.disable()  # until all is collected

for name in ("CI", "BUILD_NUMBER"):
    # With them pytest explains unequal bodies in full, which takes hours for some megabytes.
    os.environ.pop(name, None)


@pytest.fixture(autouse=True)
def the_mirror_itself() -> None:
    """Who acts in a test, whatever a command that an earlier one ran in this process said of it."""
    act_as(MIRROR)


@pytest.fixture(scope="module")
def shared_origin() -> Iterator[Origin]:
    """An origin for all tests of a module."""
    with Origin() as running:
        yield running


@pytest.fixture
def origin() -> Iterator[Origin]:
    """An origin for one test, which may stop it."""
    with Origin() as running:
        yield running


def _starter(origin: Origin, parent: Path) -> Iterator[StartMirror]:
    names = folders(parent)
    with ExitStack() as ends:

        def start(**settings: object) -> Mirror:
            return ends.enter_context(mirroring(origin, next(names), **settings))

        yield start


@pytest.fixture
def start_mirror(origin: Origin, tmp_path: Path) -> Iterator[StartMirror]:
    """Starts mirrors of `origin`; the arguments are settings."""
    yield from _starter(origin, tmp_path)


@pytest.fixture(scope="module")
def start_shared_mirror(shared_origin: Origin, tmp_path_factory: pytest.TempPathFactory) -> Iterator[StartMirror]:
    """Starts mirrors of `shared_origin` for all tests of a module; the arguments are settings."""
    yield from _starter(shared_origin, tmp_path_factory.mktemp("mirrors"))


@pytest.fixture
def mirror(start_mirror: StartMirror) -> Mirror:
    """A mirror of `origin` for one test, which may stop it."""
    return start_mirror()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests of a figure in seconds get a second chance, no others; `-r R` names those that took it."""
    os.environ.pop("PYTEST_ADDOPTS", None)  # for this run, not for a pytest that a test starts
    for item in items:
        if item.get_closest_marker("timed"):
            item.add_marker(pytest.mark.flaky(reruns=1))


def pytest_collection_finish() -> None:
    """All that was collected stays to the end: to look for garbage in it, again and again, takes a part of each test's time."""
    gc.freeze()
    gc.enable()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Adds to a failure what the mirrors logged."""
    report = yield
    if report.failed:
        report.sections += [(f"log of the mirror at {mirror.url}", mirror.log) for mirror in Mirror.running]
    return report
