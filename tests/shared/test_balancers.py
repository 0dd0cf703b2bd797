"""nginx and HAProxy before three mirrors, as `docker/` configures them: right bytes to many clients, and a broken body is an error."""

from __future__ import annotations

import http.client
import re
import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.doors.far import self_signed
from tests.image.dockerfile import ROOT
from tests.origin import Origin, body
from tests.ports import free_port
from tests.serving import HOST, PATIENCE, URL, Mirror
from tests.shared.cluster import Cluster, fresh_bucket, fresh_database

SIZE = 1_500_000
BROKEN = "/sets/broken.bin"
STREAM = Path("/usr/lib/nginx/modules/ngx_stream_module.so")
NGINX = "" if shutil.which("nginx") and STREAM.exists() else "nginx with its stream is not installed (Debian: nginx libnginx-mod-stream)"
HAPROXY = "" if shutil.which("haproxy") else "haproxy is not installed"
FRONTS = [
    pytest.param("nginx http", marks=pytest.mark.skipif(bool(NGINX), reason=NGINX)),
    pytest.param("nginx stream", marks=pytest.mark.skipif(bool(NGINX), reason=NGINX)),
    pytest.param("haproxy", marks=pytest.mark.skipif(bool(HAPROXY), reason=HAPROXY)),
]


@dataclass(frozen=True)
class Three:
    """Mirrors with a port each for TLS."""

    mirrors: list[Mirror]
    tls: list[int]
    certificate: Path
    folder: Path


@pytest.fixture(scope="module")
def three(shared_origin: Origin, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Three]:
    """Their catalog has another digest of one archive than the origin's bytes have: its body breaks off before the end."""
    folder = tmp_path_factory.mktemp("mirrors")
    shared_origin.add(BROKEN, body(SIZE))
    certificate, ports = self_signed(folder / "mirror.pem"), [free_port() for _ in range(3)]
    known = {"tls_cert": str(certificate), "tls_key": str(certificate), "archives": [{"url": URL + BROKEN, "sha256": "0" * 64}]}
    with Cluster(shared_origin, folder, fresh_database(), fresh_bucket()) as cluster:
        yield Three([cluster.start(tls_port=port, **known) for port in ports], ports, certificate, folder)


@pytest.fixture(scope="module")
def fronts(three: Three) -> Iterator[dict[str, int]]:
    """The ports of those that are installed."""
    ports = {name: free_port() for name in ("nginx http", "nginx stream", "haproxy")}
    with ExitStack() as ends:
        if not NGINX:
            ends.enter_context(_nginx(three, ports))
        if not HAPROXY:
            ends.enter_context(_haproxy(three, ports["haproxy"]))
        yield ports


@contextmanager
def _nginx(three: Three, ports: dict[str, int]) -> Iterator[None]:
    text = _with_ports((ROOT / "docker/nginx.conf").read_text(), three)
    text = text.replace("listen 8443;", f"listen 127.0.0.1:{ports['nginx stream']};")
    text = text.replace("listen 8080;", f"listen 127.0.0.1:{ports['nginx http']};")
    temporary = "".join(f"{kind}_temp_path {three.folder}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    text = text.replace("access_log off;", f"access_log off; {temporary}")
    before = f"load_module {STREAM}; daemon off; master_process off; pid {three.folder}/nginx.pid; error_log stderr emerg;\n"
    (three.folder / "nginx.conf").write_text(before + text.replace("worker_processes auto;", ""))
    with _running(["nginx", "-p", str(three.folder), "-c", "nginx.conf"], ports["nginx http"], three.folder):
        yield


@contextmanager
def _haproxy(three: Three, port: int) -> Iterator[None]:
    text = _with_ports((ROOT / "docker/haproxy.cfg").read_text(), three)
    text = text.replace("maxconn 20000", "maxconn 200")  # which need descriptors
    (three.folder / "haproxy.cfg").write_text(text.replace("bind :8080", f"bind 127.0.0.1:{port}"))
    with _running(["haproxy", "-db", "-f", "haproxy.cfg"], port, three.folder):
        yield


def _with_ports(text: str, three: Three) -> str:
    for number, (mirror, tls) in enumerate(zip(three.mirrors, three.tls, strict=True), 1):
        text = text.replace(f"mirror-{number}:8080", f"127.0.0.1:{mirror.port}").replace(f"mirror-{number}:8443", f"127.0.0.1:{tls}")
    assert not re.search(r"mirror-\d:", text)
    return text


@contextmanager
def _running(command: list[str], port: int, folder: Path) -> Iterator[None]:
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    until = time.monotonic() + PATIENCE
    try:
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), PATIENCE).close()
                break
            except ConnectionRefusedError:
                assert process.poll() is None, command
                assert time.monotonic() < until, command
                time.sleep(0.02)
        yield
    finally:
        process.terminate()
        process.wait(PATIENCE)


def _connection(front: str, port: int, three: Three) -> http.client.HTTPConnection:
    if front != "nginx stream":
        return http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    context = ssl.create_default_context(cafile=str(three.certificate))
    context.check_hostname = False
    return http.client.HTTPSConnection("127.0.0.1", port, timeout=PATIENCE, context=context)


def _got(front: str, port: int, three: Three, path: str) -> bytes:
    connection = _connection(front, port, three)
    try:
        connection.request("GET", f"/{HOST}{path}")
        return connection.getresponse().read()
    finally:
        connection.close()


@pytest.mark.parametrize("front", FRONTS)
def test_many_clients(three: Three, fronts: dict[str, int], shared_origin: Origin, front: str) -> None:
    """All get right bytes while they are being fetched, from all three mirrors, and the origin sends them once."""
    path, content = f"/sets/{front.replace(' ', '-')}.bin", body(SIZE, len(front))
    shared_origin.add(path, content, rate=2_000_000)
    before = [_answered(mirror) for mirror in three.mirrors]
    with ThreadPoolExecutor(9) as clients:
        answers = list(clients.map(lambda _: _got(front, fronts[front], three, path), range(9)))
    assert all(answer == content for answer in answers)
    assert all(_answered(mirror) > was for mirror, was in zip(three.mirrors, before, strict=True))
    assert shared_origin.bytes_sent_for(path) <= 1.02 * SIZE


def _answered(mirror: Mirror) -> int:
    status = mirror.status
    return int(status["hits"]) + int(status["misses"])


@pytest.mark.parametrize("front", FRONTS)
def test_a_broken_body(three: Three, fronts: dict[str, int], tmp_path: Path, front: str) -> None:
    """Nobody who compares lengths takes it for the whole; over the mirrors' own TLS nobody does who does not compare, either."""
    with pytest.raises((http.client.IncompleteRead, ConnectionResetError, ssl.SSLError)):
        _got(front, fronts[front], three, BROKEN)
    if front == "nginx stream":
        with pytest.raises(ssl.SSLError):
            _read_without_lengths(fronts[front], three)
        return
    if (curl := shutil.which("curl")) is not None:
        url = f"http://127.0.0.1:{fronts[front]}/{HOST}{BROKEN}"
        done = subprocess.run(
            [curl, "-sS", "--noproxy", "*", "-o", str(tmp_path / "got"), url], capture_output=True, text=True, check=False
        )
        assert done.returncode in (18, 56), done.stderr


def _read_without_lengths(port: int, three: Three) -> None:
    context = ssl.create_default_context(cafile=str(three.certificate))
    context.check_hostname = False
    with socket.create_connection(("127.0.0.1", port), PATIENCE) as plain, context.wrap_socket(plain) as secured:
        secured.sendall(f"GET /{HOST}{BROKEN} HTTP/1.1\r\nHost: mirror.lab\r\n\r\n".encode())
        while secured.recv(65536):
            pass
