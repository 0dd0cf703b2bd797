"""The S3 gateway of Ceph, as Debian installs it: one monitor, one store in memory, one gateway, one user."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Self
from urllib.error import URLError
from urllib.request import urlopen

from tests.ports import free_port
from tests.warm import PATIENCE

ACCESS, SECRET = "mirror", "a-secret-of-tests"
_CLUSTER = "00000000-0000-4000-8000-000000000001"
_CONFIGURATION = """
[global]
fsid = {cluster}
mon host = [v1:127.0.0.1:{monitor}]
mon initial members = a
auth cluster required = none
auth service required = none
auth client required = none
keyring = {folder}/keyring
public addr = 127.0.0.1
cluster addr = 127.0.0.1
mon data = {folder}/mon
mon allow pool size one = true
paxos propose interval = 0.01
paxos min wait = 0.01
mon tick interval = 1
mon data avail warn = 0
mon data avail crit = 0
osd data = {folder}/osd
osd objectstore = memstore
memstore device bytes = 8589934592
osd crush chooseleaf type = 0
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 1
osd pool default pgp num = 1
osd pool default pg autoscale mode = off
log file = {folder}/$name.log
run dir = {folder}/run
admin socket =
rgw thread pool size = 64
rgw enable usage log = false
rgw enable gc threads = false
rgw enable lc threads = false
rgw run sync thread = false
rgw dynamic resharding = false
debug none = 0/0
debug mon = 0/0
debug osd = 0/0
debug rgw = 0/0
"""


def is_installed() -> bool:
    """Whether all its programs are here."""
    return all(shutil.which(name) for name in ("ceph-mon", "ceph-osd", "radosgw", "ceph", "monmaptool", "setpriv"))


class EndedEarly(Exception):
    """One of the servers has ended by itself, and the others wait for it in vain."""


class Gateway:
    """A running gateway."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="dataset-mirror-ceph-"))
        self.port = free_port()
        self._running: list[subprocess.Popen[bytes]] = []

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        try:
            self._begin()
        except BaseException:
            self.__exit__()
            raise
        return self

    def _begin(self) -> None:
        self._prepare()
        self._start("ceph-mon", "-i", "a")
        self._run("ceph", "--connect-timeout", "20", "osd", "new", f"{_CLUSTER[:-1]}2", "0")
        self._run("ceph-osd", "-i", "0", "--mkfs", "--osd-uuid", f"{_CLUSTER[:-1]}2")
        self._start("ceph-osd", "-i", "0")
        user = ["--uid=mirror", "--display-name=mirror", f"--access-key={ACCESS}", f"--secret={SECRET}"]
        self._run("radosgw-admin", "-n", "client.rgw", "user", "create", *user)
        self._start("radosgw", "-n", "client.rgw", "--rgw-frontends", f"beast endpoint=127.0.0.1:{self.port}")

    def __exit__(self, *_: object) -> None:
        for process in reversed(self._running):
            process.kill()
        for process in self._running:
            process.wait(PATIENCE)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _prepare(self) -> None:
        monitor = free_port()
        for name in ("mon", "osd", "run"):
            (self.folder / name).mkdir()
        text = _CONFIGURATION.format(cluster=_CLUSTER, monitor=monitor, folder=self.folder)
        (self.folder / "ceph.conf").write_text(text)
        keyring, monmap = str(self.folder / "keyring"), str(self.folder / "monmap")
        self._run("ceph-authtool", "--create-keyring", keyring, "--gen-key", "-n", "mon.", "--cap", "mon", "allow *")
        self._run("monmaptool", "--create", "--addv", "a", f"[v1:127.0.0.1:{monitor}]", "--fsid", _CLUSTER, monmap)
        self._run("ceph-mon", "--mkfs", "-i", "a", "--monmap", monmap, "--keyring", keyring)

    @property
    def _configuration(self) -> list[str]:
        return ["-c", str(self.folder / "ceph.conf")]

    def _run(self, program: str, *arguments: str) -> None:
        known = [] if program in ("ceph-authtool", "monmaptool") else self._configuration
        with (self.folder / "said").open("w+") as said:
            process = subprocess.Popen([program, *known, *arguments], stdout=said, stderr=said, cwd=self.folder)
            until = time.monotonic() + PATIENCE
            while process.poll() is None:
                if time.monotonic() > until or any(each.poll() is not None for each in self._running):
                    process.kill()
                    process.wait(PATIENCE)
                    raise EndedEarly(f"{program} waits for what has ended")
                time.sleep(0.02)
            said.seek(0)
            assert process.returncode == 0, f"{program}: {said.read()}"

    def _start(self, program: str, *arguments: str) -> None:
        command = ["setpriv", "--pdeathsig=KILL", program, "-f", *self._configuration, *arguments]
        self._running.append(subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=self.folder))

    def wait(self) -> None:
        """Waits until it answers."""
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            try:
                with urlopen(self.endpoint, timeout=5):
                    return
            except URLError:
                time.sleep(0.05)
        raise TimeoutError("the gateway of Ceph does not answer")
