"""On what was measured: figures mean nothing without it."""

from __future__ import annotations

import os
import platform
import re
import shutil
import ssl
import subprocess
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

ASKING = {
    "nginx": ["nginx", "-v"],
    "wrk": ["wrk", "-v"],
    "squid": ["squid", "-v"],
    "varnish": ["varnishd", "-V"],
    "ats": ["traffic_server", "-V"],
}
"""What makes programs say their version."""


def described(others: Sequence[str]) -> dict[str, str]:
    """The machine, and the versions of what had to do with the figures."""
    known = {
        "machine": f"{os.cpu_count()} cores ({_processor()})",
        "system": f"{platform.system()} {platform.release().partition('-')[0]}",
        "Python": platform.python_version(),
        "OpenSSL": ssl.OPENSSL_VERSION.split()[1],
        "dataset-mirror": version("dataset-mirror"),
    }
    return known | {name: said for name in ("nginx", "wrk", *others) if (said := _version(name))}


def _processor() -> str:
    found = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    return found[1].strip() if found else platform.machine()


def _version(name: str) -> str:
    command = ASKING[name]
    if shutil.which(command[0]) is None:
        return ""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    found = re.search(r"\d+(\.\d+)+", done.stdout + done.stderr)
    return found[0] if found else ""
