"""docker/mirror.toml: an example that holds every setting, and holds no error."""

import os
import re
import tomllib
from pathlib import Path

import pytest

from dataset_mirror.origins.ahead import Keep
from dataset_mirror.origins.model import CatalogEntry, Origin
from dataset_mirror.origins.rules import Rule
from dataset_mirror.settings import ENV_PREFIX, Settings, load
from tests.image.dockerfile import ROOT

TEXT = (ROOT / "docker" / "mirror.toml").read_text(encoding="utf-8")
TAKEN = re.sub(r"^#(?! |$)", "", TEXT, flags=re.MULTILINE)
"""The example with every setting taken in: a comment proper has a blank after its #."""
EXAMPLES = {"data", "forwarded_allow_ips", "presets", "upstreams", "origins", "archives", "min_free", "no_proxy", "keep", "prefetch"}
"""Settings whose value is an example, or is written otherwise than the default is kept."""


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of the outer environment comes in."""
    for name in [name for name in os.environ if name.upper().startswith(ENV_PREFIX)]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("ORIGIN_TOKEN", "as the example says")


def loaded(folder: Path, text: str) -> Settings:
    (folder / "mirror.toml").write_text(text, encoding="utf-8")
    return load(folder / "mirror.toml").settings


def test_as_it_is(tmp_path: Path) -> None:
    """It is valid, and changes nothing."""
    assert tomllib.loads(TEXT) == {}
    assert loaded(tmp_path, TEXT) == Settings()


def test_every_setting(tmp_path: Path) -> None:
    """It shows every setting, and every key of origins, rules and archives; with all of them taken in it is valid, too."""
    written = tomllib.loads(TAKEN)
    assert set(written) == set(Settings.model_fields)
    assert set(written["origins"][0]) == set(Origin.model_fields)
    assert set(written["origins"][0]["rules"][0]) == set(Rule.model_fields)
    assert set(written["keep"][0]) == set(Keep.model_fields)
    assert set(written["archives"][0]) == set(CatalogEntry.model_fields)
    assert loaded(tmp_path, TAKEN).upstreams


def test_defaults(tmp_path: Path) -> None:
    """What it shows as a default is the default."""
    settings = loaded(tmp_path, TAKEN)
    defaults = {name: field.default for name, field in Settings.model_fields.items() if name not in EXAMPLES and field.default is not None}
    assert {name: getattr(settings, name) for name in defaults} == defaults
    assert (settings.presets, settings.min_free) == (Settings().presets, Settings().min_free)
