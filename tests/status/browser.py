"""A real browser without a window."""

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.serving import PATIENCE

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
needs_browser = pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")

_QUIET = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",  # no other host can be reached
)


def rendered(url: str, profile: Path, *options: str) -> str:
    """The page's document once its scripts have run."""
    command = [str(CHROMIUM), *_QUIET, f"--user-data-dir={profile}", "--virtual-time-budget=20000", *options, "--dump-dom", url]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=6 * PATIENCE).stdout
