"""CONNECT to origins: the mirror answers TLS itself, and what is wrong is refused without harm to others."""

from __future__ import annotations

import contextlib
import http.client
import os
import resource
import signal
import socket
import ssl
import subprocess
import sys
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from tests.conftest import StartMirror
from tests.doors.intercepting import asked, connected, curl, open_files, opened, secured, trusting
from tests.origin import MIB, Origin, body
from tests.ports import free_port
from tests.serving import HOST, PATIENCE, URL, Mirror
from tests.waiting import until
from tests.wire.test_protocol import Wire

SMALL, LARGE = body(10_000, 1), body(3 * MIB, 2)


@pytest.fixture(scope="module")
def shared(start_shared_mirror: StartMirror, shared_origin: Origin) -> Mirror:
    """A mirror that has two archives, and gives clients three seconds for TLS."""
    shared_origin.add("/sets/small.bin", SMALL)
    shared_origin.add("/sets/large.bin", LARGE)
    origins = [{"url": url, "paths": ["/sets/"]} for url in (URL, "http://127.0.0.1:9000", "http://[::1]:9000")]
    mirror = start_shared_mirror(idle_timeout=3, origins=origins, public_url="https://mirror.example.org")
    for path in ("/sets/small.bin", "/sets/large.bin"):
        assert mirror.archive(path).status == 200
    return mirror


# ---- Clients as people use them


@pytest.mark.parametrize("version", ["1.2", "1.3"])
def test_curl(shared: Mirror, shared_origin: Origin, tmp_path: Path, version: str) -> None:
    """curl gets archives over TLS 1.2 and 1.3, hits and misses, small and large; HTTP/2 is not offered."""
    path = f"/sets/curl-{version}.bin"
    shared_origin.add(path, LARGE)
    for _ in range(2):
        got = curl(shared, URL + path, tmp_path, f"--tlsv{version}", "--tls-max", version, "-f", "--http2")
        assert (got.returncode, got.stdout == LARGE) == (0, True), got.stderr
    assert curl(shared, f"{URL}/sets/small.bin", tmp_path, "--fail").stdout == SMALL
    assert curl(shared, f"{URL}/sets/large.bin", tmp_path, "-r", "5-9").stdout == LARGE[5:10]
    assert b"content-length: 10000" in curl(shared, f"{URL}/sets/small.bin", tmp_path, "-I").stdout
    assert len(shared_origin.gets(path)) == 1


@pytest.mark.parametrize("library", ["urllib", "requests", "httpx"])
def test_python(shared: Mirror, tmp_path: Path, library: str) -> None:
    """Python's clients get archives with nothing but two variables set."""
    trusted = tmp_path / "trusted.pem"
    trusted.write_bytes(shared.get("/ca.pem").body)
    names = ("HTTPS_PROXY", "https_proxy"), ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE")
    values = {**dict.fromkeys(names[0], shared.url), **dict.fromkeys(names[1], str(trusted)), "NO_PROXY": "", "no_proxy": ""}
    url = f"{URL}/sets/large.bin"
    get = {
        "urllib": f"import urllib.request; content = urllib.request.urlopen({url!r}).read()",
        "requests": f"import requests; content = requests.get({url!r}).content",
        "httpx": f"import httpx; content = httpx.get({url!r}).content",
    }[library]
    program = f"import sys\n{get}\nsys.stdout.buffer.write(content)"
    run = subprocess.run([sys.executable, "-c", program], env=os.environ | values, capture_output=True, timeout=PATIENCE, check=False)
    assert run.stdout == LARGE, run.stderr.decode()


def test_connect_of_http_1_0(shared: Mirror) -> None:
    """`CONNECT` with HTTP/1.0 and without Host, as Python up to 3.11 sends it, is answered."""
    with connected(shared, version="1.0") as wire:
        assert wire.head()[0] == 200


def test_keep_alive(shared: Mirror) -> None:
    """A connection in TLS serves one request after the other, pipelined ones too, small ones from memory."""
    with secured(shared) as wire:
        assert isinstance(wire.socket, ssl.SSLSocket)
        assert wire.socket.selected_alpn_protocol() == "http/1.1"
        for _ in range(3):
            wire.send(asked("/sets/small.bin"))
            assert wire.answer() == (200, SMALL)
        wire.send(asked("/sets/large.bin") + asked("/sets/small.bin") + asked("/sets/large.bin", "Connection: close"))
        assert [wire.answer() for _ in range(3)] == [(200, LARGE), (200, SMALL), (200, LARGE)]
        assert wire.rest() == b""


def test_the_handshake_and_the_request_at_once(shared: Mirror) -> None:
    """A request that arrives in one packet with the end of the handshake, as TLS 1.3 allows, is answered."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = trusting(shared).wrap_bio(incoming, outgoing, server_hostname=HOST)
    with closing(opened(shared)) as plain:
        while True:
            try:
                tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                plain.sendall(outgoing.read())
                incoming.write(plain.recv(65536))
        tls.write(asked("/sets/small.bin", "Connection: close"))
        plain.sendall(outgoing.read())  # Finished, and the request
        received = b""
        while data := plain.recv(65536):
            incoming.write(data)
            with contextlib.suppress(ssl.SSLWantReadError, ssl.SSLZeroReturnError):
                while part := tls.read(65536):
                    received += part
    assert received.partition(b"\r\n\r\n")[2] == SMALL


def test_pages_are_not_there(shared: Mirror) -> None:
    """Inside a CONNECT there are no pages of the mirror: what is no archive is the origin's matter."""
    before = shared.status["doors"]["relayed"]
    with secured(shared) as wire:
        wire.send(asked("/healthz"))
        assert wire.head()[0] in (403, 504)
    assert shared.status["doors"]["relayed"] >= before


# ---- Targets that are refused


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ("pypi.org:80", "port 443 only"),
        ("pypi.org:22", "port 443 only"),
        ("data.example.org:8443", "port 443 only"),
        ("93.184.216.34:443", "is an address"),
        ("[2606:2800:220:1:248:1893:25c8:1946]:443", "is an address"),
        ("127.0.0.1:443", "is an address"),
        ("127.1:443", "is an address"),
        ("2130706433:443", "is an address"),
        ("0x7f000001:443", "is an address"),
        ("127.0.0.1:9000", "certificates are for names"),
        ("[::1]:9000", "certificates are for names"),
        ("mirror.example.org:443", "is this mirror itself"),
        ("localhost:443", "not an address of the public internet"),
    ],
)
def test_where_connect_does_not_lead(shared: Mirror, target: str, words: str) -> None:
    """Another port, an address in whatever form, and a name of a private address are a 403, which says why in its first line."""
    before = shared.status["doors"]["refused"]
    with connected(shared, target) as wire:
        first = wire.rest().decode()
    assert first.startswith("HTTP/1.1 403 ")
    assert words in first.splitlines()[0]
    assert shared.status["doors"]["refused"] == before + 1


@pytest.mark.parametrize("host", [f"{HOST}.", HOST.upper(), f"{HOST.title()}."])
def test_every_form_of_a_host(shared: Mirror, host: str) -> None:
    """A trailing dot or capitals in the target, and in the request inside, name the same origin."""
    with connected(shared, f"{host}:443") as wire:
        assert wire.head()[0] == 200
        wire.socket = trusting(shared).wrap_socket(wire.socket, server_hostname=HOST)
        wire.send(asked("/sets/small.bin", host=host))
        assert wire.answer() == (200, SMALL)


def test_connect_to_the_mirror_itself(shared: Mirror) -> None:
    """The mirror is not led to by itself."""
    for target in (f"127.0.0.1:{shared.port}", f"localhost:{shared.port}"):
        with connected(shared, target) as wire:
            assert wire.head()[0] == 403


@pytest.mark.parametrize("target", ["pypi.org", "pypi.org:", ":443", "user@pypi.org:443", "pypi.org:443x", "/sets/small.bin", "a b:443"])
def test_targets_that_cannot_be_meant(shared: Mirror, target: str) -> None:
    """A target that is not host:port is a 400."""
    with connected(shared, target) as wire:
        assert wire.head()[0] == 400


def test_no_tunnel_to_a_name_that_does_not_exist(shared: Mirror) -> None:
    """A name that nobody knows is a 504."""
    with connected(shared, "nowhere.invalid:443") as wire:
        assert wire.head()[0] == 504


# ---- Clients that do not keep to it


@pytest.mark.parametrize("extra", [b"\x16\x03\x01\x00\x05hello", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"\x00"])
def test_bytes_along_with_connect(shared: Mirror, extra: bytes) -> None:
    """Bytes that come along with CONNECT, before its answer, are a 400."""
    with connected(shared, extra=extra) as wire:
        assert wire.head()[0] == 400


def test_connect_behind_a_request_that_is_answered(shared: Mirror) -> None:
    """CONNECT may follow an answer; one that comes in the middle of an answer is not taken up, and does not cut it."""
    line = f"CONNECT {HOST}:443 HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode()
    with Wire(shared) as wire:
        wire.send(asked("/sets/small.bin"))
        assert wire.answer() == (200, SMALL)
        wire.send(line)
        assert wire.head()[0] == 200
    with Wire(shared) as wire:
        wire.send(asked("/sets/large.bin") + line)
        assert wire.answer() == (200, LARGE)
        assert wire.rest() == b""


def test_garbage_instead_of_tls(shared: Mirror) -> None:
    """Garbage after CONNECT is told so in TLS's own words, and the connection closes."""
    with closing(opened(shared)) as plain:
        plain.sendall(b"\x00garbage\r\n" * 10)
        assert plain.recv(4096).startswith(b"\x15\x03")
        assert plain.recv(4096) == b""


def test_plain_http_instead_of_tls(shared: Mirror) -> None:
    """A client that speaks plain HTTP into the tunnel gets a 400 that it can read."""
    with closing(opened(shared)) as plain:
        plain.sendall(asked("/sets/small.bin"))
        assert plain.recv(4096).startswith(b"HTTP/1.1 400 ")


def test_another_name_in_tls(shared: Mirror) -> None:
    """A client that names another host in TLS than by CONNECT is refused in the handshake, even if that is an origin too."""
    for name in ("storage.googleapis.com", "evil.example.net"):
        with closing(opened(shared)) as plain, pytest.raises(ssl.SSLError, match=r"(?i)unrecognized.name"):
            trusting(shared).wrap_socket(plain, server_hostname=name)


@pytest.mark.parametrize(
    "request_", [asked("/sets/small.bin", host="storage.googleapis.com"), asked("https://storage.googleapis.com/sets/small.bin")]
)
def test_another_host_in_the_request(shared: Mirror, request_: bytes) -> None:
    """A request that names another host than its CONNECT is a 400, in Host or in its target."""
    with secured(shared) as wire:
        wire.send(request_)
        assert wire.answer()[0] == 400


def test_connect_inside_of_connect(shared: Mirror) -> None:
    """There is no CONNECT inside of TLS."""
    with secured(shared) as wire:
        wire.send(b"CONNECT pypi.org:443 HTTP/1.1\r\nHost: pypi.org\r\n\r\n")
        assert wire.answer()[0] == 400


def test_half_open_handshakes(shared: Mirror) -> None:
    """Clients that say nothing, or stop in the middle of the handshake, are closed in time and hold up nobody."""
    hello = _client_hello()
    with ExitStack() as ends:
        silent = [ends.enter_context(closing(opened(shared))) for _ in range(100)]
        for plain in silent[::2]:
            plain.sendall(hello[:50])
        with secured(shared) as wire:
            wire.send(asked("/sets/small.bin"))
            assert wire.answer() == (200, SMALL)
        for plain in silent:
            assert plain.recv(1) == b""
    assert shared.archive("/sets/small.bin").body == SMALL


def _client_hello() -> bytes:
    outgoing = ssl.MemoryBIO()
    client = ssl.create_default_context().wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname=HOST)
    with contextlib.suppress(ssl.SSLWantReadError):
        client.do_handshake()
    return outgoing.read()


def test_idle_connections(shared: Mirror) -> None:
    """An idle connection in TLS costs less than 128 KiB, so that a thousand of them are no matter."""
    context, memory = trusting(shared), shared.memory
    with ExitStack() as ends:
        for _ in range(200):
            ends.enter_context(secured(shared, context=context))
        assert shared.memory - memory < 200 * 128 * 1024


def test_clients_that_leave(shared: Mirror) -> None:
    """Clients that leave at any step cost nothing afterwards."""
    descriptors = open_files(shared)
    for _ in range(20):
        connected(shared).socket.close()
        opened(shared).close()
        with contextlib.closing(secured(shared).socket):
            pass
        with secured(shared) as wire:
            wire.send(asked("/sets/large.bin"))
    until(lambda: open_files(shared) <= descriptors + 2)


# ---- The mirror's end


def test_the_end_with_an_idle_connection(start_mirror: StartMirror, origin: Origin) -> None:
    """SIGTERM does not wait for idle connections in TLS, nor for handshakes: their clients are told, and the mirror ends."""
    mirror = start_mirror(grace=2 * PATIENCE)
    origin.add("/sets/small.bin", SMALL)
    with secured(mirror) as idle, secured(mirror) as fresh, closing(opened(mirror)) as plain:
        idle.send(asked("/sets/small.bin"))
        assert idle.answer() == (200, SMALL)
        mirror.signal(signal.SIGTERM)
        assert mirror.process is not None
        assert mirror.process.wait(PATIENCE) == 0
        assert idle.rest() == b""
        assert fresh.rest() == b""
        assert plain.recv(1) == b""
        mirror.ended()


def test_the_end_with_a_busy_connection(start_mirror: StartMirror, origin: Origin) -> None:
    """An answer in TLS that is done within the grace of SIGTERM ends cleanly with all its bytes."""
    mirror = start_mirror(grace=15)
    content = body(32 * MIB)
    origin.add("/sets/large.bin", content)
    with secured(mirror) as busy:
        busy.send(asked("/sets/large.bin"))
        status, fields = busy.head()
        mirror.signal(signal.SIGTERM)
        until(lambda: "Stopping" in mirror.log)
        assert (status, busy.body(int(fields["content-length"]))) == (200, content)
        assert busy.rest() == b""
    mirror.ended()


# ---- More origins


def test_after_an_origin_was_added(start_mirror: StartMirror, origin: Origin) -> None:
    """Who trusts the authority as it was before a reload still reaches the earlier hosts, and the new ones after trusting it again."""
    origin.add("/sets/small.bin", SMALL)
    mirror = start_mirror()
    earlier = trusting(mirror)
    (mirror.data / "mirror.toml").write_text('presets = ["keras", "keras-legacy"]')
    assert mirror.api("reload").status == 200
    with secured(mirror, context=earlier) as wire:
        wire.send(asked("/sets/small.bin"))
        assert wire.answer() == (200, SMALL)
    with pytest.raises(ssl.SSLError, match="permitted subtree violation"):
        secured(mirror, "github.com", context=earlier)
    with secured(mirror, "github.com") as wire:
        assert isinstance(wire.socket, ssl.SSLSocket)


# ---- A port of its own


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A certificate for this machine and its key, in one file."""
    key, whole = tmp_path / "key.pem", tmp_path / "cert.pem"
    command = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
        "-days",
        "2",
        "-subj",
        "/CN=localhost",
    ]
    command += ["-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost", "-keyout", str(key), "-out", str(whole)]
    subprocess.run(command, check=True, capture_output=True)
    return whole


def test_a_tls_port(start_mirror: StartMirror, origin: Origin, certificate: Path) -> None:
    """With a certificate that the operator brings the mirror speaks https on a port of its own, archives and pages."""
    port, key = free_port(), certificate.with_name("key.pem")
    origin.add("/sets/large.bin", LARGE)
    mirror = start_mirror(tls_port=port, tls_cert=str(certificate), tls_key=str(key), idle_timeout=1)
    context = ssl.create_default_context(cafile=certificate)
    for path, content in ((f"/{HOST}/sets/large.bin", LARGE), ("/healthz", None)):
        connection = http.client.HTTPSConnection("127.0.0.1", port, context=context, timeout=PATIENCE)
        with closing(connection):
            connection.request("GET", path)
            answer = connection.getresponse()
            assert answer.status == 200
            received = answer.read()
            assert content is None or received == content
    with socket.create_connection(("127.0.0.1", port), PATIENCE) as plain:
        plain.sendall(asked("/"))
        assert plain.recv(4096).startswith(b"HTTP/1.1 400 ")
    assert mirror.get("/healthz").status == 200


@pytest.mark.parametrize("wrong", ["missing", "garbage", "not the key"])
def test_a_tls_port_that_cannot_be(tmp_path: Path, certificate: Path, wrong: str) -> None:
    """A certificate without its key, or files that are something else, are one sentence at the start."""
    other = tmp_path / "other.pem"
    other.write_text("garbage")
    options = {"missing": [], "garbage": ["--tls-key", str(other)], "not the key": ["--tls-key", str(tmp_path / "none.pem")]}[wrong]
    command = [str(Path(sys.executable).with_name("dataset-mirror")), "serve", "--data", str(tmp_path / "data"), "--port", "0"]
    command += ["--tls-port", "0", "--tls-cert", str(certificate), *options]
    run = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert run.returncode == 2
    assert "certificate" in run.stderr
    assert "Traceback" not in run.stderr


def test_without_descriptors(start_mirror: StartMirror) -> None:
    """A CONNECT for which no certificate can be made now is refused, and the next one is granted."""
    mirror = start_mirror()
    mirror.get("/ca.pem")
    with Wire(mirror) as wire:
        wire.send(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        assert wire.answer()[0] == 200
        soft, hard = resource.prlimit(mirror.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(mirror.pid, resource.RLIMIT_NOFILE, (3, hard))  # what is open stays open
        wire.send(f"CONNECT {HOST}:443 HTTP/1.1\r\nHost: {HOST}:443\r\n\r\n".encode())
        status, fields = wire.head()
        resource.prlimit(mirror.pid, resource.RLIMIT_NOFILE, (soft, hard))
        assert (status, fields["retry-after"]) == (503, "5")
    opened(mirror).close()
