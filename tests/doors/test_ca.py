"""The certificate authority: for the origins' hosts and no other, and the same one after they changed."""

from __future__ import annotations

import errno
import os
import signal
import socket
import ssl
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from dataset_mirror.doors import certificates
from dataset_mirror.doors.ca import CertificateAuthority
from dataset_mirror.doors.generations import Fetched, joined
from dataset_mirror.errors import DataFolderError
from dataset_mirror.origins.model import Origin
from dataset_mirror.origins.table import Origins
from dataset_mirror.rules.marks import mark_of
from dataset_mirror.store.folder import DataFolder
from dataset_mirror.wire.tls import server_context
from tests.conftest import StartMirror
from tests.serving import HOST, PATIENCE

OTHER = "other.example.net"


class Known:
    """Origins that change."""

    def __init__(self, *hosts: str) -> None:
        self.be(*hosts)

    def be(self, *hosts: str) -> None:
        self.now = Origins([], [Origin(url=host if "//" in host else f"https://{host}", paths=("/sets/",)) for host in hosts])

    def __call__(self) -> Origins:
        return self.now


@pytest.fixture
def folder(tmp_path: Path) -> DataFolder:
    made = DataFolder(tmp_path / "data")
    made.prepare()
    return made


@pytest.fixture
def known() -> Known:
    return Known(HOST)


@pytest.fixture
def authority(folder: DataFolder, known: Known) -> CertificateAuthority:
    return CertificateAuthority(folder, known)


@contextmanager
def answering(context: ssl.SSLContext) -> Iterator[int]:
    """A TLS server that answers each connection with two bytes and HTTP; yields its port."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=_answer, args=(listening, context))
        thread.start()
        try:
            yield listening.getsockname()[1]
        finally:
            listening.shutdown(socket.SHUT_RDWR)
            thread.join(PATIENCE)


def _answer(listening: socket.socket, context: ssl.SSLContext) -> None:
    while True:
        try:
            plain, _ = listening.accept()
        except OSError:
            return
        try:
            with context.wrap_socket(plain, server_side=True) as connection:
                connection.recv(4096)
                connection.sendall(b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok")
        except OSError:
            plain.close()


def reached(pem: bytes, context: ssl.SSLContext, name: str) -> str:
    """What a client that trusts only `pem` says of a server: the TLS version, or the error."""
    client = ssl.create_default_context(cadata=pem.decode())
    with answering(context) as port, socket.create_connection(("127.0.0.1", port), PATIENCE) as plain:
        try:
            with client.wrap_socket(plain, server_hostname=name) as connection:
                return connection.version() or ""
        except ssl.SSLError as error:
            return str(error)


def signed_by(folder: DataFolder, host: str) -> ssl.SSLContext:
    """A server for any host, signed by the folder's authority, whatever that is for."""
    key = certificates.new_key()
    issuer = certificates.of_pem(folder.ca.read_bytes())
    leaf = certificates.issue_leaf(issuer, certificates.key_of_pem(folder.ca_key.read_bytes()), key, host)
    file = folder.root / "leaf.pem"
    file.write_bytes(certificates.to_pem(leaf) + certificates.key_to_pem(key))
    return server_context(file)


# ---- What it is


def test_what_it_is_for(authority: CertificateAuthority) -> None:
    """It may sign for the origins' hosts and no address, has what Python 3.13 asks for, and its name follows from its key."""
    certificate = certificates.of_pem(authority.pem)
    kept = certificate.extensions
    constraints = kept.get_extension_for_class(x509.NameConstraints)
    assert constraints.critical
    assert [str(name.value) for name in constraints.value.permitted_subtrees or ()] == [HOST]
    assert [str(name.value) for name in constraints.value.excluded_subtrees or ()] == ["0.0.0.0/0", "::/0"]
    basic, usage = kept.get_extension_for_class(x509.BasicConstraints), kept.get_extension_for_class(x509.KeyUsage)
    assert (basic.critical, basic.value.ca, usage.critical, usage.value.key_cert_sign) == (True, True, True, True)
    assert list(kept.get_extension_for_class(x509.ExtendedKeyUsage).value) == [ExtendedKeyUsageOID.SERVER_AUTH]
    assert kept.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest.hex()[:16] in certificate.subject.rfc4514_string()
    assert authority.fingerprint == certificates.fingerprint(certificate)
    assert len(authority.fingerprint) == 95


def test_its_files(authority: CertificateAuthority, folder: DataFolder) -> None:
    """Only the key is secret: its file is for the owner alone, and nothing else is left behind."""
    assert authority.pem == folder.ca.read_bytes()
    assert stat.S_IMODE(folder.ca_key.stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.ca.parent.stat().st_mode) == 0o700
    assert b"PRIVATE" not in authority.pem
    authority.context_for(HOST)
    assert sorted(file.name for file in folder.ca.parent.iterdir()) == ["ca.pem", "key.pem"]


def test_origins_with_ports_and_addresses(folder: DataFolder) -> None:
    """Ports mean nothing to a certificate, and an origin that is an address is none of its hosts."""
    mixed = Known(f"{HOST}:8443", "http://127.0.0.1:9000", "http://[::1]:9000", OTHER)
    assert CertificateAuthority(folder, mixed).hosts == {HOST, OTHER}
    assert certificates.named_hosts(certificates.of_pem(CertificateAuthority(folder, mixed).pem)) == {HOST, OTHER}


def test_no_origins(folder: DataFolder) -> None:
    """Without any origin it is good for no host at all."""
    pem = CertificateAuthority(folder, Known()).pem
    assert "permitted subtree violation" in reached(pem, signed_by(folder, HOST), HOST)


@pytest.mark.parametrize(
    "content", [b"", b"garbage", certificates.key_to_pem(certificates.new_key())[:100]], ids=["empty", "garbage", "half a key"]
)
def test_a_damaged_key(authority: CertificateAuthority, folder: DataFolder, known: Known, content: bytes) -> None:
    """A damaged key is an error that says how to go on, never a silent new one: every client would fail."""
    before = authority.pem
    folder.ca_key.write_bytes(content)
    with pytest.raises(DataFolderError, match="--new-ca"):
        _ = CertificateAuthority(folder, known).pem
    assert folder.ca.read_bytes() == before


def test_a_lost_certificate(authority: CertificateAuthority, folder: DataFolder, known: Known) -> None:
    """A certificate that was lost, damaged or is of another key is made again from the key."""
    before = certificates.of_pem(authority.pem)
    foreign = certificates.to_pem(certificates.issue_authority(certificates.new_key(), [HOST]))
    for content in (None, b"garbage", foreign):
        folder.ca.unlink()
        if content:
            folder.ca.write_bytes(content)
        again = certificates.of_pem(CertificateAuthority(folder, known).pem)
        assert (again.subject, again.public_key()) == (before.subject, before.public_key())


# ---- Whom it is believed


def test_a_leaf_is_accepted(authority: CertificateAuthority) -> None:
    """A client that trusts it reaches an origin's host."""
    assert reached(authority.pem, authority.context_for(HOST), HOST).startswith("TLSv1.")


def test_another_name_is_refused(authority: CertificateAuthority) -> None:
    """A client that names another host than it asked for by CONNECT is refused before anything is said."""
    assert "unrecognized name" in reached(authority.pem, authority.context_for(HOST), OTHER).lower().replace("_", " ")


def test_python_does_not_accept_other_hosts(authority: CertificateAuthority, folder: DataFolder) -> None:
    """Whoever steals the key cannot use it against other hosts: Python's ssl refuses what it signs for them, addresses too."""
    pem = authority.pem
    assert "permitted subtree violation" in reached(pem, signed_by(folder, OTHER), OTHER)
    assert reached(pem, signed_by(folder, f"sub.{HOST}"), f"sub.{HOST}").startswith("TLSv1."), "the standard includes sub-domains"


def test_clients_do_not_accept_other_hosts(authority: CertificateAuthority, folder: DataFolder, tmp_path: Path) -> None:
    """curl, urllib and requests refuse a host that is no origin though its certificate is signed by the authority."""
    trusted = tmp_path / "trusted.pem"
    trusted.write_bytes(authority.pem)
    environment = {**os.environ, "SSL_CERT_FILE": str(trusted), "REQUESTS_CA_BUNDLE": str(trusted), "CURL_CA_BUNDLE": str(trusted)}
    for host, accepted in ((HOST, True), (OTHER, False)):
        with answering(signed_by(folder, host)) as port:
            for command in clients(host, port):
                run = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=PATIENCE, check=False)
                assert (run.returncode == 0) is accepted, run.stderr
                assert accepted or "subtree violation" in run.stderr, run.stderr


def clients(host: str, port: int) -> list[list[str]]:
    """Commands that ask for https://host:port/, which lies on this machine."""
    resolved = (
        "import socket; real = socket.getaddrinfo; socket.getaddrinfo = lambda host, *more, **named: real('127.0.0.1', *more, **named)"
    )
    url = f"https://{host}:{port}/"
    curl = ["curl", "-sSf", "--noproxy", "*", "--resolve", f"{host}:{port}:127.0.0.1", url]
    urllib = [sys.executable, "-c", f"{resolved}\nimport urllib.request; urllib.request.urlopen({url!r}).read()"]
    requests = [sys.executable, "-c", f"{resolved}\nimport requests; requests.get({url!r}).raise_for_status()"]
    return [curl, urllib, requests]


# ---- When origins change


def test_more_origins(authority: CertificateAuthority, known: Known) -> None:
    """After an origin was added, who trusts the earlier authority still reaches the earlier hosts; the new one is for both."""
    earlier = authority.pem
    known.be(HOST, OTHER)
    later = authority.pem
    first, second = certificates.of_pem(earlier), certificates.of_pem(later)
    assert (first.subject, first.public_key()) == (second.subject, second.public_key())
    assert first.serial_number != second.serial_number
    assert reached(earlier, authority.context_for(HOST), HOST).startswith("TLSv1.")
    assert "permitted subtree violation" in reached(earlier, authority.context_for(OTHER), OTHER)
    assert reached(later, authority.context_for(OTHER), OTHER).startswith("TLSv1.")


def test_what_clients_trust_it_for(authority: CertificateAuthority, folder: DataFolder, known: Known) -> None:
    """By its mark a client is known to trust the certificate that it got; without, what all certificates name, or its address fetched."""
    first = mark_of(authority.pem)
    assert authority.mark is None, "one certificate needs no mark"
    known.be(HOST, OTHER)
    second = authority.mark
    assert second == mark_of(authority.pem) != first
    for one in (authority, CertificateAuthority(folder, known)):
        assert [one.covered(first, None), one.covered(second, None)] == [{HOST}, {HOST, OTHER}]
        assert [one.covered("0" * 16, None), one.covered(None, "10.0.0.1")] == [set(), {HOST}]
    authority.fetched_by("10.0.0.1")
    assert [authority.covered(None, "10.0.0.1"), authority.covered(None, "10.0.0.2")] == [{HOST, OTHER}, {HOST}]
    known.be(OTHER)
    assert authority.covered(None, "10.0.0.2") == frozenset()
    authority.renew_key()
    assert authority.covered(second, None) == frozenset(), "nobody trusts the new key yet"


def test_many_certificates(authority: CertificateAuthority) -> None:
    """However often origins change, the first certificate and the last ones are remembered, each once."""
    pems = [b"-----BEGIN CERTIFICATE-----\n%d\n-----END CERTIFICATE-----\n" % number for number in range(600)]
    file = b""
    for pem in pems:
        file = joined(joined(file, pem), pem)
    assert file == b"".join([pems[0], *pems[-499:]])


def test_addresses_are_bounded() -> None:
    """Of so many addresses it is known what they fetched; the others count as those that never did."""
    fetched = Fetched(most=2)
    for number in range(3):
        fetched.note(f"10.0.0.{number}", "mark")
    assert [fetched.of(f"10.0.0.{number}") for number in range(3)] == [None, "mark", "mark"]


def test_the_same_origins(authority: CertificateAuthority, folder: DataFolder, known: Known) -> None:
    """A reload or a start without other hosts changes nothing."""
    before = authority.pem
    known.be(HOST)
    assert authority.pem == before == CertificateAuthority(folder, known).pem


def test_a_new_key(authority: CertificateAuthority, folder: DataFolder, known: Known) -> None:
    """A new key, made by another process too, is taken up at once, and nobody trusts it who trusted the former one."""
    earlier = authority.pem
    assert authority.context_for(HOST)
    CertificateAuthority(folder, known).renew_key()
    assert authority.pem != earlier
    assert "certificate verify failed" in reached(earlier, authority.context_for(HOST), HOST)
    assert reached(authority.pem, authority.context_for(HOST), HOST).startswith("TLSv1.")


def test_contexts_are_kept(authority: CertificateAuthority) -> None:
    """A host's certificate is made once."""
    assert authority.context_for(HOST) is authority.context_for(HOST)


# ---- When the clock is set


DAY = 86_400.0


class Clock:
    """A clock that is off by `ahead` seconds."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.ahead, right = 0.0, time.time
        patch.setattr("dataset_mirror.doors.certificates.time.time", lambda: right() + self.ahead)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


@pytest.mark.parametrize("days", [-20_000, -400, -30, -2, -0.6, 0.6, 2, 30, 4000, 20_000])
def test_a_clock_that_was_wrong(authority: CertificateAuthority, folder: DataFolder, known: Known, clock: Clock, days: float) -> None:
    """Whatever a clock said when certificates were made, clients are answered once it is set right, by a running mirror and a new one."""
    clock.ahead = days * DAY
    _ = authority.context_for(HOST)
    clock.ahead = 0.0
    context = authority.context_for(HOST)
    assert reached(authority.pem, context, HOST).startswith("TLSv1.")
    again = CertificateAuthority(folder, known)
    assert again.pem == authority.pem
    assert reached(again.pem, again.context_for(HOST), HOST).startswith("TLSv1.")


@pytest.mark.parametrize("days", [-400, -30, -2, 2, 30, 400])
def test_a_clock_that_jumps_and_comes_back(authority: CertificateAuthority, clock: Clock, days: float) -> None:
    """What clients trust stays the same over a jump, and works after it."""
    trusted = authority.pem
    _ = authority.context_for(HOST)
    clock.ahead = days * DAY
    _ = authority.context_for(HOST)
    clock.ahead = 0.0
    assert authority.pem == trusted
    assert reached(trusted, authority.context_for(HOST), HOST).startswith("TLSv1.")


def test_a_clock_that_jumps_where_nothing_can_be_written(
    authority: CertificateAuthority, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A mirror that cannot issue its authority again goes on with the one that it has."""
    trusted = authority.pem

    def full(*_: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr("dataset_mirror.doors.ca.durable.replace", full)
    clock.ahead = 4000 * DAY
    assert authority.pem == trusted
    clock.ahead = 0.0
    assert reached(trusted, authority.context_for(HOST), HOST).startswith("TLSv1.")


# ---- Where clients get it


def test_it_is_served(start_mirror: StartMirror) -> None:
    """`/ca.pem` and `/ca-bundle.pem` have certificates and never a key, GET and HEAD; the key is not in the log either."""
    mirror = start_mirror()
    own = mirror.get("/ca.pem")
    assert (own.status, own.fields["content-type"]) == (200, "application/x-pem-file")
    assert own.body == (mirror.data / "ca" / "ca.pem").read_bytes()
    bundle = mirror.get("/ca-bundle.pem")
    assert bundle.body.endswith(own.body)
    assert ssl.create_default_context(cadata=bundle.body.decode()).get_ca_certs()
    assert b"PRIVATE" not in bundle.body
    for path, answer in (("/ca.pem", own), ("/ca-bundle.pem", bundle)):
        head = mirror.get(path, "HEAD")
        assert (head.status, head.body, head.fields["content-length"]) == (200, b"", str(len(answer.body)))
    for path in ("/ca/key.pem", "/key.pem", "/ca-key.pem"):
        assert mirror.get(path).status in (403, 404)
    assert "PRIVATE" not in mirror.log


def test_it_stays_over_a_restart(start_mirror: StartMirror) -> None:
    """The authority is the same after a restart, and after a reload with another origin it has the same key."""
    mirror = start_mirror()
    before = mirror.get("/ca.pem").body
    assert mirror.restart().get("/ca.pem").body == before
    (mirror.data / "mirror.toml").write_text('archives = []\npresets = ["keras", "keras-legacy"]\n')
    mirror.signal(signal.SIGHUP)
    mirror.api("reload")
    after = certificates.of_pem(mirror.get("/ca.pem").body)
    assert after.public_key() == certificates.of_pem(before).public_key()
    assert len(certificates.named_hosts(after)) > len(certificates.named_hosts(certificates.of_pem(before)))


def test_a_certificate_that_cannot_be_read(folder: DataFolder, known: Known, authority: CertificateAuthority) -> None:
    """It is not taken for one that is missing: neither it nor the earlier ones are replaced, which clients trust."""
    first = mark_of(authority.pem)
    known.be(HOST, OTHER)
    pem = authority.pem
    for file in (folder.ca, folder.ca_earlier):
        content = file.read_bytes()
        file.unlink()
        file.symlink_to(file)
        with pytest.raises(DataFolderError, match="cannot be read"):
            _ = CertificateAuthority(folder, known).pem
        file.unlink()
        file.write_bytes(content)
    again = CertificateAuthority(folder, known)
    assert again.pem == pem
    assert again.knows(first)
