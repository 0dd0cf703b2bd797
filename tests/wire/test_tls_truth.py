"""The promise over TLS: whoever reads without comparing lengths sees an error, never a clean end of a short body.

A reset is a clean end there to Python up to 3.12, whose readers these are.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import ssl
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path

import pytest

from tests.conftest import StartMirror
from tests.doors.intercepting import asked, open_files, secured, trusting
from tests.origin import MIB, Origin, body
from tests.serving import PATIENCE, URL, Mirror
from tests.waiting import until
from tests.wire.test_protocol import Wire, settled
from tests.wire.test_truth import LARGE, STEP, WRONG, Reader, Source, is_whole, read_out

WRONG_LARGE, WRONG_CHUNKED = "/sets/wrong-large.bin", "/sets/wrong-chunked.bin"


class TlsSource:
    """A connection in TLS without any notion of HTTP beyond the empty line after the head."""

    def __init__(self, mirror: Mirror, path: str, version: str = "1.1", buffer: int | None = None) -> None:
        self.wire: Wire = secured(mirror)
        self.wire.send(asked(path, "Connection: close").replace(b"HTTP/1.1", f"HTTP/{version}".encode(), 1))
        self.status, self.fields = self.wire.head()

    def read(self, size: int, /) -> bytes:
        left, self.wire._left = self.wire._left, b""
        return left or self.wire.socket.recv(size)

    def close(self) -> None:
        self.wire.socket.close()


def keras(mirror: Mirror, context: ssl.SSLContext, path: str) -> Source:
    """urllib with the mirror as its proxy, read as Keras 2 does."""
    handlers = urllib.request.ProxyHandler({"https": mirror.url}), urllib.request.HTTPSHandler(context=context)
    response: Source = urllib.request.build_opener(*handlers).open(URL + path, timeout=PATIENCE)
    return response


@contextmanager
def readers(mirror: Mirror, *paths: str) -> Iterator[list[Reader]]:
    """Two readers of each archive over TLS; all have got their first bytes."""
    context = trusting(mirror)
    context.set_alpn_protocols(["http/1.1"])
    with ThreadPoolExecutor(2 * len(paths)) as pool:
        opening = [partial(kind, path) for path in paths for kind in (partial(TlsSource, mirror), partial(keras, mirror, context))]
        started = [Reader(pool, each) for each in opening]
        try:
            for reader in started:
                assert reader.began.wait(PATIENCE), "no byte came"
            yield started
        finally:
            for reader in started:
                reader.go.set()


def all_broken(started: list[Reader], size: int) -> bool:
    """Whether each reader's end was an error of TLS, and before the last byte."""
    ends = [reader.seen() for reader in started]
    return all(isinstance(seen.error, ssl.SSLError) and seen.size < size for seen in ends) or pytest.fail(str(ends))


@pytest.fixture(scope="module")
def shared(start_shared_mirror: StartMirror, shared_origin: Origin) -> Mirror:
    """A mirror whose catalog has other digests than the origin's archives."""
    shared_origin.add(WRONG_LARGE, body(3 * MIB))
    shared_origin.add(WRONG_CHUNKED, body(3 * MIB), chunked=True)
    return start_shared_mirror(archives=[{"url": URL + path, "sha256": WRONG} for path in (WRONG_LARGE, WRONG_CHUNKED)])


# ---- Something fails


@pytest.mark.parametrize("path", [WRONG_LARGE, WRONG_CHUNKED])
def test_a_wrong_digest(shared: Mirror, path: str) -> None:
    """An archive that contradicts the catalog ends in an error before its end, with and without a known length."""
    with readers(shared, path) as started:
        assert all_broken(started, 3 * MIB)


def test_a_wrong_digest_over_http_1_0(shared: Mirror) -> None:
    """A body that only the close delimits ends in an error too."""
    with closing(TlsSource(shared, WRONG_CHUNKED, "1.0")) as source:
        seen = read_out(source)
    assert isinstance(seen.error, ssl.SSLError)
    assert 0 < seen.size < 3 * MIB


def test_a_blob_that_is_truncated_in_the_middle(mirror: Mirror, origin: Origin) -> None:
    """An exception in the middle of a body, here of a blob that became shorter, is an error for its readers."""
    mirror.may_log_traceback = True
    origin.add("/sets/large.bin", body(LARGE))
    mirror.archive("/sets/large.bin")
    with readers(mirror, "/sets/large.bin") as started:
        [blob] = mirror.blobs
        blob.chmod(0o600)
        os.truncate(blob, LARGE // 2)
        assert all_broken(started, LARGE)


@contextmanager
def busy(mirror: Mirror, origin: Origin) -> Iterator[list[Reader]]:
    """Readers in mid-body who do not read: of a hit, and of an archive whose origin stalls."""
    origin.add("/sets/large.bin", body(LARGE))
    mirror.archive("/sets/large.bin")
    origin.add("/sets/stalled.bin", body(LARGE), stall_after=2 * MIB)
    with readers(mirror, "/sets/large.bin", "/sets/stalled.bin") as started:
        yield started


def test_sigterm_past_its_grace(mirror: Mirror, origin: Origin) -> None:
    """Answers that are not done when the grace of SIGTERM is over end in an error, for readers who come back late too."""
    with busy(mirror, origin) as started:
        mirror.stop()
        assert all_broken(started, LARGE)


def test_a_second_sigint(start_mirror: StartMirror, origin: Origin) -> None:
    """The second Ctrl-C breaks running answers at once, without waiting for the grace."""
    mirror = start_mirror(grace=60)
    with busy(mirror, origin) as started:
        mirror.signal(signal.SIGINT)
        until(lambda: "Stopping" in mirror.log)
        mirror.signal(signal.SIGINT)
        mirror.ended()
        assert all_broken(started, LARGE)


def test_garbage_during_a_body(mirror: Mirror, origin: Origin) -> None:
    """Garbage that a client sends during a body never shows in it, and the body never ends cleanly before its end."""
    content = body(LARGE)
    origin.add("/sets/large.bin", content)
    mirror.archive("/sets/large.bin")
    with secured(mirror) as wire:
        wire.send(asked("/sets/large.bin"))
        assert wire.head()[0] == 200
        wire.send(b"\x00garbage\r\n\r\n")
        early = wire._left
        with closing(wire.socket.makefile("rb", buffering=0)) as source:
            seen = read_out(source)
    assert isinstance(seen.error, ssl.SSLError)
    assert seen.sha256 == hashlib.sha256(content[len(early) : len(early) + seen.size]).hexdigest()
    assert content.startswith(early)


READ_WITHOUT_LENGTHS = """
import sys, urllib.request
size = 0
try:
    with urllib.request.urlopen(sys.argv[1]) as response:
        while data := response.read(8192):
            size += len(data)
except OSError as error:
    print(size, "broken", type(error).__name__)
else:
    print(size, "whole")
"""


@pytest.mark.parametrize("python", [sys.executable, "python3.10", "python3.11", "python3.12", "python3.13", "python3.14"])
def test_other_pythons(shared: Mirror, shared_origin: Origin, tmp_path: Path, python: str) -> None:
    """Every Python that is here sees the error, and the whole of a good archive; 3.13 is the one that checks the authority strictly."""
    if subprocess.run([python, "--version"], capture_output=True, check=False).returncode if shutil.which(python) else True:
        pytest.skip(f"{python} is not on this machine")
    shared_origin.add("/sets/other.bin", body(3 * MIB, seed=7))
    trusted = tmp_path / "trusted.pem"
    trusted.write_bytes(shared.get("/ca.pem").body)
    ways = {"https_proxy": shared.url, "HTTPS_PROXY": shared.url, "no_proxy": "", "NO_PROXY": "", "SSL_CERT_FILE": str(trusted)}
    for path, end in ((WRONG_LARGE, "broken SSLError"), ("/sets/other.bin", "whole")):
        command = [python, "-c", READ_WITHOUT_LENGTHS, URL + path]
        said = subprocess.run(command, env=os.environ | ways, capture_output=True, text=True, timeout=PATIENCE, check=False)
        assert said.stdout.partition(" ")[2].strip() == end, said.stdout + said.stderr


# ---- Nothing fails


def test_a_good_archive(shared: Mirror, shared_origin: Origin) -> None:
    """A good archive ends cleanly with all its bytes, while it is fetched and afterwards."""
    content = body(3 * MIB, seed=1)
    shared_origin.add("/sets/good.bin", content)
    for _ in ("miss", "hit"):
        with readers(shared, "/sets/good.bin") as started:
            assert all(is_whole(reader.seen(), content) for reader in started)


@pytest.mark.parametrize("size", [100_000, 2 * MIB])
def test_a_reader_slower_than_the_close(shared: Mirror, shared_origin: Origin, size: int) -> None:
    """Who asked for `Connection: close`, and reads only after the mirror has done with it, gets everything."""
    content, path = body(size, seed=2), f"/sets/closed-{size}.bin"
    shared_origin.add(path, content)
    shared.archive(path)
    with closing(TlsSource(shared, path)) as source:
        settled(shared)
        received = b"".join(iter(lambda: source.read(STEP), b""))
    assert received == content


def test_clients_that_stop_reading(shared: Mirror, shared_origin: Origin) -> None:
    """Clients in TLS that do not read cost the mirror some chunks each, not the archive, and hold up nobody."""
    content = body(LARGE)
    shared_origin.add("/sets/large.bin", content)
    shared.archive("/sets/large.bin")
    memory = shared.memory
    stuck = [TlsSource(shared, "/sets/large.bin") for _ in range(16)]
    before = settled(shared)
    assert shared.memory - memory < 48 * MIB
    with closing(TlsSource(shared, "/sets/large.bin")) as source:
        assert is_whole(read_out(source), content)
    assert settled(shared) - before == LARGE
    for each in stuck:
        each.close()


def test_clients_that_are_killed(shared: Mirror, shared_origin: Origin, tmp_path: Path) -> None:
    """Clients that vanish while much is on its way to them leave nothing behind, not even in the log."""
    shared_origin.add("/sets/large.bin", body(LARGE))
    shared.archive("/sets/large.bin")
    trusted = tmp_path / "trusted.pem"
    trusted.write_bytes(shared.get("/ca.pem").body)
    files, served = open_files(shared), shared.status["bytes_served"]
    command = ["curl", "-s", "--noproxy", "", "--proxy", shared.url, "--cacert", str(trusted), *[f"{URL}/sets/large.bin"] * 50]
    killed = [subprocess.Popen(command, stdout=subprocess.DEVNULL) for _ in range(8)]
    until(lambda: shared.status["bytes_served"] > served + 3 * LARGE)
    for each in killed:
        each.kill()
        each.wait(PATIENCE)
    until(lambda: open_files(shared) <= files)
    assert "Traceback" not in shared.log
