"""Those who serve the same files: the mirror, one nginx worker, and FastAPI's FileResponse."""

from __future__ import annotations

import hashlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dataset_mirror.doors import certificates
from dataset_mirror.origins.identity import ArchiveId
from dataset_mirror.store.record import Record
from dataset_mirror.store.store import Store
from tests.origin import MIB, body
from tests.serving import HOST, PATIENCE, URL, Mirror

NGINX = """
daemon off; master_process off; worker_processes 1; pid {folder}/nginx.pid; error_log stderr error;
events {{ worker_connections 1024; }}
http {{
  access_log off; sendfile on; tcp_nopush on; keepalive_requests 100000000;
  client_body_temp_path {folder}/t1; proxy_temp_path {folder}/t2; fastcgi_temp_path {folder}/t3; uwsgi_temp_path {folder}/t4;
  scgi_temp_path {folder}/t5;
  server {{ listen 127.0.0.1:{port}{tls}; root {root}; }}
}}
"""


def make_file(root: Path, size: int) -> str:
    """A file of `size` bytes under `root`; returns the path by which everybody serves it, `/data.example.org/sets/…`.

    No two MiB of it are the same.
    """
    path = f"/{HOST}/sets/{size}.bin"
    file = root / path[1:]
    file.parent.mkdir(parents=True, exist_ok=True)
    block = body(MIB)
    with file.open("wb") as written:
        for number in range(size // MIB):
            written.write(number.to_bytes(8, "big") + block[8:])
        written.write(block[: size % MIB])
    return path


def make_certificate(folder: Path) -> Path:
    """A certificate of this machine and its key, in one file."""
    file = folder / "certificate.pem"
    key = certificates.new_key()
    authority = certificates.issue_authority(key, ["localhost"])
    leaf = certificates.issue_leaf(authority, key, key, "localhost")
    file.write_bytes(certificates.to_pem(leaf) + certificates.key_to_pem(key))
    return file


@contextmanager
def mirror(root: Path, data: Path) -> Iterator[str]:
    """The mirror, which has all files of `root` as archives (as hard links: the same pages in memory); yields its URL."""
    _adopt(root, data)
    with Mirror(data, origins=[{"url": URL, "paths": ["/sets/"]}], grace=1) as running:
        yield running.url


@contextmanager
def tls_mirror(root: Path, data: Path, certificate: Path) -> Iterator[str]:
    """The same with TLS."""
    _adopt(root, data)
    tls = {"tls_port": free_port(), "tls_cert": str(certificate), "tls_key": str(certificate)}
    with Mirror(data, origins=[{"url": URL, "paths": ["/sets/"]}], grace=1, **tls):
        yield f"https://127.0.0.1:{tls['tls_port']}"


def _adopt(root: Path, data: Path) -> None:
    store = Store(data)
    store.lock()
    for file in (root / HOST / "sets").iterdir():
        partial = store.folder.partial / file.name
        os.link(file, partial)
        with file.open("rb") as opened:
            digest = hashlib.file_digest(opened, "sha256").hexdigest()
        now = time.time()
        fields = (("content-type", "application/octet-stream"),)
        store.publish(partial, Record(ArchiveId(HOST, f"/sets/{file.name}"), digest, file.stat().st_size, now, fields=fields, checked=now))
    store.close()


@contextmanager
def tls_nginx(root: Path, folder: Path, certificate: Path) -> Iterator[str]:
    """One nginx worker with TLS; yields its URL."""
    port = free_port()
    tls = f" ssl; ssl_certificate {certificate}; ssl_certificate_key {certificate}"
    (folder / "nginx.conf").write_text(NGINX.format(folder=folder, port=port, root=root, tls=tls))
    with running(["nginx", "-p", str(folder), "-c", str(folder / "nginx.conf")], port) as url:
        yield url.replace("http:", "https:")


@contextmanager
def nginx(root: Path, folder: Path) -> Iterator[str]:
    """One nginx worker with sendfile; yields its URL."""
    port = free_port()
    (folder / "nginx.conf").write_text(NGINX.format(folder=folder, port=port, root=root, tls=""))
    with running(["nginx", "-p", str(folder), "-c", str(folder / "nginx.conf")], port) as url:
        yield url


@contextmanager
def file_response(root: Path) -> Iterator[str]:
    """uvicorn, FastAPI and its FileResponse, which is what one writes first; yields its URL."""
    port = free_port()
    command = [
        sys.executable,
        "-m",
        "uvicorn",
        "tests.benchmarks.plain:app",
        "--port",
        str(port),
        "--no-access-log",
        "--log-level",
        "error",
    ]
    with running(command, port, FILES=str(root)) as url:
        yield url


@contextmanager
def running(command: list[str], port: int, **environment: str) -> Iterator[str]:
    """A server that the command starts at this port; yields its URL."""
    with subprocess.Popen(command, env=os.environ | environment) as process:
        try:
            _wait_for(port, process)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait(PATIENCE)


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + PATIENCE
    while process.poll() is None and time.monotonic() < end:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.02)
    raise SystemExit(f"{process.args!r} did not start.")


def free_port() -> int:
    """A port of the loopback that nobody listens at."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
