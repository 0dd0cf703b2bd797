"""Load by wrk, whose answers are looked at before they are counted."""

from __future__ import annotations

import http.client
import re
import ssl
import subprocess
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from tests.serving import PATIENCE

CONNECTIONS = 16


def requests_per_second(url: str, *, seconds: int, threads: int = 1, connections: int = CONNECTIONS, script: Path | None = None) -> float:
    """What wrk counts. An answer that is not 2xx, or a broken connection, ends the benchmark."""
    return float(_counted(r"Requests/sec:\s+([\d.]+)", url, seconds, threads, connections, script))


def gigabytes(url: str, size: int, *, seconds: int) -> float:
    """GB of whole archives of so many bytes that wrk got in so much time; the same holds."""
    return int(_counted(r"(\d+) requests in", url, seconds, 1, CONNECTIONS, None)) * size / 1e9


def _counted(pattern: str, url: str, seconds: int, threads: int, connections: int, script: Path | None) -> str:
    command = [
        "wrk",
        "--timeout",
        "10s",
        f"-t{threads}",
        f"-c{connections}",
        f"-d{seconds}s",
        *(["-s", str(script)] if script else []),
        url,
    ]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    if "Non-2xx" in said or "Socket errors" in said:
        raise SystemExit(f"wrk was not served well by {url}:\n{said}")
    found = re.search(pattern, said)
    assert found, said
    return found[1]


def check_same(urls: Mapping[str, str], fields: Mapping[str, str] | None = None) -> None:
    """Each of the URLs must answer with the same bytes."""
    bodies = {name: _body(url, fields or {}) for name, url in urls.items()}
    if len(set(bodies.values())) != 1:
        raise SystemExit(f"They do not serve the same: { {name: len(body) for name, body in bodies.items()} } bytes.")


def _body(url: str, fields: Mapping[str, str]) -> bytes:
    parts = urlsplit(url)
    if parts.scheme == "https":
        trusting = ssl._create_unverified_context()  # as wrk does it
        connection: http.client.HTTPConnection = http.client.HTTPSConnection(
            parts.hostname or "", parts.port, timeout=PATIENCE, context=trusting
        )
    else:
        connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=PATIENCE)
    try:
        connection.request("GET", parts.path, headers=dict(fields))
        return connection.getresponse().read()
    finally:
        connection.close()
