"""The systemd unit: valid, hardened, and with time to stop."""

import shutil
import subprocess
import sys
from configparser import ConfigParser
from pathlib import Path

import pytest

from dataset_mirror.settings import Settings
from tests.image.dockerfile import ROOT

UNIT = ROOT / "docker" / "dataset-mirror.service"
EXPOSED = 20
"""Tenths on systemd's scale of 0 to 10 that a service may be exposed; most services of a distribution have over 9."""


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """The unit with the program of these tests, as systemd wants one that exists."""
    unit = tmp_path / UNIT.name
    text = UNIT.read_text(encoding="utf-8")
    assert "\nExecStart=/opt/dataset-mirror/bin/dataset-mirror serve\n" in text
    unit.write_text(text.replace("ExecStart=/opt/dataset-mirror/bin", f"ExecStart={Path(sys.executable).parent}"), encoding="utf-8")
    return unit


def analyze(*arguments: object) -> str:
    """What systemd-analyze says when it is content."""
    program = shutil.which("systemd-analyze")
    if program is None:
        pytest.skip("systemd-analyze is not installed")
    done = subprocess.run([program, *map(str, arguments)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stderr


def test_verify(installed: Path) -> None:
    """systemd knows each of its keys and values."""
    assert UNIT.name not in analyze("verify", "--man=no", installed)


def test_security(installed: Path) -> None:
    """systemd finds it little exposed."""
    analyze("security", "--offline=true", "--no-pager", f"--threshold={EXPOSED}", installed)


def test_key_lines() -> None:
    """A user of its own, one folder that it may write, SIGHUP to reload, and more time to stop than running answers get."""
    parser = ConfigParser(interpolation=None, strict=False)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read(UNIT, encoding="utf-8")
    service = parser["Service"]
    assert (service["DynamicUser"], service["ProtectSystem"], service["StateDirectory"]) == ("yes", "strict", "dataset-mirror")
    assert "DATASET_MIRROR_DATA=/var/lib/dataset-mirror" in service["Environment"].split()
    assert (service["ExecReload"], service["KillSignal"]) == ("/bin/kill -HUP $MAINPID", "SIGTERM")
    assert service.getint("TimeoutStopSec") > Settings.model_fields["grace"].default
    assert (service["Restart"], service["RestartPreventExitStatus"]) == ("on-failure", "2")
