"""Libraries and programs that download data, through a mirror of imitated origins: cold, warm, with the origins gone, and offline."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.clients.kits import NODE, SCIENCE, SMALL, Kit, interpreter
from tests.clients.libraries import LIBRARIES, PHASES, WAYS, Library, program, settings, sites, table
from tests.imitations.web import Web
from tests.serving import Mirror, environment
from tests.status.test_setup import evaluated

PATIENCE = 100.0


def there(library: Library) -> bool:
    return all(find_spec(name) or shutil.which(name) for name in library.needs)


def asked_by(kit: Kit | None, way: str) -> list[Library]:
    """The libraries of a kit that can be led that way, as far as they are installed."""
    return [one for one in LIBRARIES if one.kit == kit and not (way == "URL" and one.not_by_url) and (kit or there(one))]


def said(libraries: Sequence[Library], python: str, mirror: Mirror, way: str, home: Path) -> dict[str, object]:
    """What each of them makes of it on a machine that has nothing yet."""
    home.mkdir(parents=True)
    known, trust = environment(home, {}), ""
    if way == "setup.sh":
        known, _ = evaluated(mirror.url, home)
        trust = str(Path(known["SSL_CERT_FILE"]).parent)
    known |= {"XDG_CACHE_HOME": str(home / "cache"), "HOME": str(home), "TMPDIR": str(home)}
    command = [python, "-c", program(libraries), mirror.url if way == "URL" else "", trust]
    done = subprocess.run(command, env=known, cwd=home, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert done.returncode == 0, done.stderr
    found: dict[str, object] = json.loads(done.stdout.splitlines()[-1])
    return found


@pytest.fixture
def web() -> Iterator[Web]:
    with Web(sites()) as running:
        yield running


def in_all_phases(libraries: Sequence[Library], python: str, web: Web, way: str, place: Path) -> None:
    """Each of them gets its data: from the origin at first, then from the mirror alone, with the origins gone, and offline."""
    expected = {one.name: one.expected for one in libraries}
    with Mirror(place / "data", **settings(), upstreams=web.upstreams) as mirror:
        for phase in PHASES:
            assert said(libraries, python, mirror, way, place / phase) == expected, phase
            if phase == "cold":
                web.forget()
            elif phase == "warm":
                assert web.sent < 5_000, [asked.target for asked in web.asked]
                web.is_dead = True
            elif phase == "origin gone":
                mirror.restart("--offline")


@pytest.mark.parametrize("way", WAYS)
def test_what_starts_fast(way: str, web: Web, tmp_path: Path) -> None:
    """Programs and calls that start fast: cold, warm, with the origins gone, and offline."""
    in_all_phases([one for one in asked_by(None, way) if one.is_quick], sys.executable, web, way, tmp_path)


@pytest.mark.clients
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kit", [None, SMALL, SCIENCE, NODE], ids=lambda kit: kit.name if kit else "own")
def test_everything(kit: Kit | None, way: str, web: Web, tmp_path: Path) -> None:
    """All of the table: cold, warm, with the origins gone, and offline."""
    in_all_phases(asked_by(kit, way), str(interpreter(kit)) if kit else sys.executable, web, way, tmp_path)


def test_the_table() -> None:
    """README has the table as these tests have it."""
    readme = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    if "by `setup.sh` |" not in readme:
        pytest.skip("README has no table of libraries")
    assert table() in readme
