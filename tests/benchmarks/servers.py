"""Those who serve the same files: the mirror, one nginx worker, and FastAPI's FileResponse."""

from __future__ import annotations

import hashlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

from dataset_mirror.doors import certificates
from dataset_mirror.origins.identity import ArchiveId
from dataset_mirror.store.record import Record
from dataset_mirror.store.store import Store
from tests.benchmarks.processes import Server
from tests.origin import MIB, body
from tests.ports import free_port
from tests.serving import HOST, PATIENCE, URL, Mirror

NGINX = """
daemon off; {processes}; pid {folder}/nginx-{port}.pid; error_log stderr error;
events {{ worker_connections 8192; }}
http {{
  access_log off; {threads} sendfile on; sendfile_max_chunk 2m; tcp_nopush on; keepalive_timeout 1h; keepalive_requests 100000000;
  open_file_cache max=1000 inactive=1h; open_file_cache_valid 1h; open_file_cache_min_uses 1; open_file_cache_errors on;
  ssl_session_cache shared:tls:10m;
  client_body_temp_path {folder}/t1; proxy_temp_path {folder}/t2; fastcgi_temp_path {folder}/t3; uwsgi_temp_path {folder}/t4;
  scgi_temp_path {folder}/t5;
  server {{ listen 127.0.0.1:{port}{tls}; root {root}; }}
}}
"""
"""As its documentation recommends for files. With `aio threads`, which it recommends where disks make it wait, a GB that is in the page
cache costs some 1.5 times the CPU, but more threads than one have it: a contender of its own."""
ALONE = "master_process off; worker_processes 1"


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


@dataclass(frozen=True)
class Certificate:
    """Of localhost, with its key, in one file; `authority` is the file of who issued it."""

    file: Path
    authority: Path


def make_certificate(folder: Path) -> Certificate:
    """A certificate that is new."""
    made = Certificate(folder / "certificate.pem", folder / "authority.pem")
    key, own = certificates.new_key(), certificates.new_key()
    authority = certificates.issue_authority(key, ["localhost"])
    leaf = certificates.issue_leaf(authority, key, own, "localhost")
    made.file.write_bytes(certificates.to_pem(leaf) + certificates.key_to_pem(own))
    made.authority.write_bytes(certificates.to_pem(authority))
    return made


@contextmanager
def mirror(root: Path, data: Path, *options: str, certificate: Certificate | None = None) -> Iterator[Server]:
    """The mirror, which has all files of `root` as archives (as hard links: the same pages in memory).

    With a certificate it is its port with TLS. `options` are those of `serve`.
    """
    if not data.exists():
        _adopt(root, data)
    settings: dict[str, object] = {"origins": [{"url": URL, "paths": ["/sets/"]}], "grace": 1}
    port = free_port()
    if certificate:
        settings |= {"tls_port": port, "tls_cert": str(certificate.file), "tls_key": str(certificate.file)}
    running = Mirror(data, **settings).start(*options)
    try:
        yield Server(f"https://127.0.0.1:{port}" if certificate else running.url, running.pid)
    finally:
        running.close()


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
def nginx(root: Path, folder: Path, *, workers: int = 1, threads: bool = False, certificate: Certificate | None = None) -> Iterator[Server]:
    """nginx with sendfile, or with TLS; `threads`: with `aio threads`."""
    port = free_port()
    tls = f" ssl; ssl_certificate {certificate.file}; ssl_certificate_key {certificate.file}" if certificate else ""
    processes = ALONE if workers == 1 else f"worker_processes {workers}" + (";user root" if os.geteuid() == 0 else "")
    file = folder / f"nginx-{port}.conf"
    file.write_text(
        NGINX.format(folder=folder, port=port, root=root, tls=tls, processes=processes, threads="aio threads;" if threads else "")
    )
    with running(["nginx", "-p", str(folder), "-c", str(file)], port) as server:
        yield replace(server, url=server.url.replace("http:", "https:")) if certificate else server


@contextmanager
def file_response(root: Path) -> Iterator[Server]:
    """uvicorn, FastAPI and its FileResponse, which is what one writes first."""
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
    with running(command, port, FILES=str(root)) as server:
        yield server


@contextmanager
def running(command: list[str], port: int, *, log: Path | None = None, **environment: str) -> Iterator[Server]:
    """A server that the command starts at this port; `log` gets what it says, if nobody needs to read that."""
    said = log.open("wb") if log else None
    with said or nullcontext(), subprocess.Popen(command, env=os.environ | environment, stdout=said, stderr=said) as process:
        try:
            _wait_for(port, process)
            yield Server(f"http://127.0.0.1:{port}", process.pid)
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
