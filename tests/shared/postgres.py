"""A PostgreSQL of our own in a folder, run by an ordinary user, as Debian installs it."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Self

from tests.ports import free_port
from tests.warm import PATIENCE

ENVIRONMENT = {"PATH": os.environ.get("PATH", ""), "LC_ALL": "C", "TZ": "UTC"}
TUNING = ("fsync=off", "max_connections=200", "shared_buffers=32MB", "unix_socket_directories=", "listen_addresses=127.0.0.1")


def programs() -> Path | None:
    """The folder with `initdb` and `postgres`; None if they are not installed."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name), reverse=True)
    return next((path for path in found if (path / "initdb").exists()), None)


class Postgres:
    """A cluster with the user `mirror`, at a free port; it can be stopped, silenced and started again."""

    def __init__(self, template: Path | None = None) -> None:
        """`template`: the folder of another one that was never started, which takes less time to copy than to make."""
        self._template = template
        found = programs()
        assert found is not None
        self._programs = found
        self.folder = Path(tempfile.mkdtemp(prefix="dataset-mirror-postgres-"))
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        data = self.folder / "data"
        if not os.getuid():
            os.chown(self.folder, self._user.pw_uid, self._user.pw_gid)
        if self._template is not None:
            self._copy(self._template, data)
        else:
            made = [str(self._programs / "initdb"), "-D", str(data), "-U", "mirror", "--no-sync", "-A", "trust", "-E", "UTF8", "--locale=C"]
            subprocess.run([*self._as_user, *made], check=True, capture_output=True, env=ENVIRONMENT, cwd="/")
            self._copy(data, self.template)
        self.start()
        return self

    @property
    def template(self) -> Path:
        """What others may be copies of."""
        return self.folder / "template"

    @staticmethod
    def _copy(source: Path, target: Path) -> None:
        subprocess.run(["cp", "-a", "--reflink=auto", str(source), str(target)], check=True, capture_output=True)

    def __exit__(self, *_: object) -> None:
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def _user(self) -> pwd.struct_passwd:
        return pwd.getpwnam("nobody")

    @property
    def _as_user(self) -> list[str]:
        """PostgreSQL refuses to be run by root."""
        user = self._user
        ordinary = [f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"] if not os.getuid() else []
        return ["setpriv", "--pdeathsig=KILL", *ordinary]

    def start(self) -> None:
        """Starts it and waits until it answers."""
        settings = [word for setting in (*TUNING, f"port={self.port}") for word in ("-c", setting)]
        command = [*self._as_user, str(self._programs / "postgres"), "-D", str(self.folder / "data"), *settings]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, env=ENVIRONMENT, cwd="/")
        self._wait()

    def stop(self) -> None:
        """Ends all sessions and itself."""
        if self._process:
            self.resume()
            self._process.send_signal(signal.SIGINT)
            self._process.wait(PATIENCE)
            self._process = None

    def silence(self) -> None:
        """All its processes stop answering, and keep their connections."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """The silence ends."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text().split()
        for pid in (self._process.pid, *map(int, children)):
            with suppress(ProcessLookupError):
                os.kill(pid, number)

    def _wait(self) -> None:
        ready = [str(self._programs / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(self.port)]
        until = time.monotonic() + PATIENCE
        while subprocess.run(ready, env=ENVIRONMENT, check=False).returncode:
            assert time.monotonic() < until, (self.folder / "log").read_text()
            time.sleep(0.05)

    def url(self, name: str = "postgres") -> str:
        """The URL of one of its databases."""
        return f"postgresql://mirror@127.0.0.1:{self.port}/{name}"
