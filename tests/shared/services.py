"""The servers that all tests of a run share, however many workers: whoever needs one first starts it, and it ends with the run.

`python -m tests.shared.services NAME FOLDER PID` is such a server: it writes into FOLDER what it is, once it answers, and ends
when the process PID has ended. Where TEST_SERVICES names a folder, servers of it that run already are used.
"""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, suppress
from functools import cache
from pathlib import Path

from tests.shared.bucket import make_bucket
from tests.shared.ceph import EndedEarly, Gateway, is_installed
from tests.shared.postgres import Postgres, programs
from tests.warm import PATIENCE

MISSING = {
    "postgres": "PostgreSQL is not installed (Debian: postgresql)" if programs() is None else "",
    "ceph": "" if is_installed() else "the S3 gateway of Ceph is not installed (Debian: radosgw ceph-mon ceph-osd ceph-common)",
}
"""Why a server cannot be started; empty if it can."""


@cache
def service(name: str) -> str:
    """The address of the server of this run: a PostgreSQL's port and its template, or a gateway's endpoint."""
    run = os.getppid() if "PYTEST_XDIST_WORKER" in os.environ else os.getpid()
    folder = Path(os.environ.get("TEST_SERVICES") or f"{tempfile.gettempdir()}/dataset-mirror-tests-{run}")
    folder.mkdir(exist_ok=True)
    said = folder / f"{name}.json"
    with (folder / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not said.exists():
            _started(name, folder, run)
    known: str = json.loads(said.read_text())
    return known


def database_port() -> int:
    """That of the PostgreSQL of this run."""
    return int(service("postgres").split()[0])


def own_postgres() -> Postgres:
    """One more, which may be stopped; not yet started."""
    return Postgres(Path(service("postgres").split()[1]))


def _started(name: str, folder: Path, run: int) -> None:
    with (folder / f"{name}.log").open("wb") as log:
        command = [sys.executable, "-m", "tests.shared.services", name, str(folder), str(run)]
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
    until = time.monotonic() + 3 * PATIENCE
    while not (folder / f"{name}.json").exists():
        assert process.poll() is None, (folder / f"{name}.log").read_text()
        assert time.monotonic() < until, (folder / f"{name}.log").read_text()
        time.sleep(0.05)
    process.returncode = 0  # it outlives this worker, and is nobody's child to be waited for


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def _begun(name: str, ends: ExitStack) -> Postgres | Gateway:
    """One time in four Ceph's store asks its monitor before it knows the cluster's id, and ends."""
    if name == "postgres":
        return ends.enter_context(Postgres())
    for _ in range(5):
        with suppress(EndedEarly):
            return ends.enter_context(Gateway())
    return ends.enter_context(Gateway())


def _serve(name: str, folder: Path, run: int) -> None:
    with ExitStack() as ends:
        server = _begun(name, ends)
        if isinstance(server, Gateway):
            server.wait()
            make_bucket(server.endpoint, "warm")
        address = server.endpoint if isinstance(server, Gateway) else f"{server.port} {server.template}"
        fresh = folder / f"{name}.new"
        fresh.write_text(json.dumps(address))
        fresh.rename(folder / f"{name}.json")
        while _runs(run):
            time.sleep(0.5)
    for path in folder.glob(f"{name}.*"):
        path.unlink()
    if not any(folder.iterdir()):
        folder.rmdir()


if __name__ == "__main__":
    _serve(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]))
