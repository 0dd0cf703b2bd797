"""Under a plain uvicorn, without our protocol."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
import urllib.request
from pathlib import Path

from tests.origin import Origin, body
from tests.serving import HOST, PATIENCE, URL, environment

WARNING = "Running under a server that cannot reset connections"
ROOT = Path(__file__).parents[2]


def test_plain_uvicorn(origin: Origin, tmp_path: Path) -> None:
    """`uvicorn --app-dir app dataset_mirror.main:app` serves archives, and warns once that it cannot reset connections."""
    origin.add("/sets/a.bin", body(100_000))
    settings = {"data": str(tmp_path / "data"), "origins": [{"url": URL, "paths": ["/sets/"]}], "upstreams": {HOST: [origin.url]}}
    command = [sys.executable, "-S", "-m", "uvicorn", "--app-dir", "app", "dataset_mirror.main:app", "--port", "0"]
    dependencies = {"PYTHONPATH": sysconfig.get_path("purelib")}  # with -S nothing leads to the package but --app-dir
    known = environment(tmp_path, settings) | dependencies
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=known, cwd=ROOT) as process:
        assert process.stderr is not None
        try:
            log = ""
            for line in process.stderr:
                log += line
                if "running on " in line:
                    break
            assert "running on " in log, log
            url = log.rpartition("running on ")[2].split()[0]
            opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
            for _ in range(2):
                with opener.open(f"{url}/{HOST}/sets/a.bin", timeout=PATIENCE) as answer:
                    assert answer.read() == body(100_000)
        finally:
            process.terminate()
            _, rest = process.communicate(timeout=PATIENCE)
    assert (log + rest).count(WARNING) == 1
    assert len(origin.gets("/sets/a.bin")) == 1
