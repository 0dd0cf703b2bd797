"""compose.yaml: valid, and as strict with the mirror as the mirror bears."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from dataset_mirror.settings import Settings
from tests.image.dockerfile import ROOT, stages

FILE = ROOT / "compose.yaml"
PROJECT = YAML(typ="safe").load(FILE.read_text(encoding="utf-8"))


@pytest.fixture
def service() -> dict[str, Any]:
    """The only service that starts unless more is asked for: the mirror."""
    assert [name for name, known in PROJECT["services"].items() if "profiles" not in known] == ["mirror"]
    known: dict[str, Any] = PROJECT["services"]["mirror"]
    return known


def test_schema() -> None:
    """It is what the Compose specification allows."""
    program = Path(sys.executable).with_name("check-jsonschema")
    command = [str(program), "--builtin-schema", "vendor.compose-spec", str(FILE)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_what_is_kept(service: dict[str, Any]) -> None:
    """The image's volume is a named one, which outlives the container; nothing lies over the mirror.toml in it."""
    assert service["build"] == "."
    assert service["volumes"] == [f"data:{stages()[-1].one('VOLUME')}"]
    others = [volume for name, known in PROJECT["services"].items() if name != "mirror" for volume in known["volumes"]]
    assert "data" in PROJECT["volumes"]
    assert not any(volume.startswith("data:") for volume in others)


def test_where_it_listens(service: dict[str, Any]) -> None:
    """It is reached at the image's port, by this machine only unless an address is given."""
    port = stages()[-1].one("EXPOSE")
    assert service["ports"] == [f"${{MIRROR_ADDRESS:-127.0.0.1}}:{port}:{port}"]


def test_what_it_may(service: dict[str, Any]) -> None:
    """Its root file system is read-only, it has no capability and gets none, and memory, processors and processes are limited."""
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert set(service["deploy"]["resources"]["limits"]) == {"cpus", "memory", "pids"}
    assert not {"privileged", "cap_add", "network_mode", "pid", "user"} & set(service)


def test_how_it_ends(service: dict[str, Any]) -> None:
    """It comes back after a crash, and has more time to stop than running answers get."""
    assert service["restart"] == "unless-stopped"
    grace = Settings.model_fields["grace"].default
    seconds = re.fullmatch(r"(\d+)s", service["stop_grace_period"])
    assert seconds
    assert int(seconds[1]) > grace
