"""The certificate authority by which the mirror answers for its origins' hosts over TLS. Its key never leaves the data folder."""

from __future__ import annotations

import os
import ssl
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dataset_mirror.doors.generations import Fetched, Generations, joined
from dataset_mirror.errors import DataFolderError, SystemFailure
from dataset_mirror.origins.table import Origins
from dataset_mirror.rules.host import is_address, split_port
from dataset_mirror.rules.marks import mark_of
from dataset_mirror.store import durable
from dataset_mirror.store.folder import DataFolder
from dataset_mirror.wire.tls import server_context

if TYPE_CHECKING:
    from dataset_mirror.doors.certificates import Certificate, Key

_LEAF_RENEWED = 86_400.0
"""Seconds that are left of a leaf's life when it is not used any more."""
_SET_BACK = 43_200.0
"""Seconds that a clock may have been set back since a leaf was made: it is valid since some time before."""


@dataclass(frozen=True, slots=True)
class _Issued:
    """An authority as it is in its files, and for which origins that was looked at."""

    key: Key
    certificate: Certificate
    pem: bytes
    fingerprint: str
    generations: Generations
    origins: Origins
    stamp: tuple[int, int]
    """Inode and time of its file: `doctor --new-ca` replaces it beside a running server."""

    @property
    def is_timely(self) -> bool:
        from dataset_mirror.doors.certificates import is_timely

        return is_timely(self.certificate)


class CertificateAuthority:
    """The authority of a data folder: made when it is first asked for, issued again when the origins' hosts are others.

    It keeps its key and its name then, so that whoever trusts the earlier one goes on trusting it for the earlier hosts. The
    earlier ones are kept, to know which hosts their clients trust it for. May be used from several threads. Everything raises
    DataFolderError if its files cannot be read or written.
    """

    def __init__(self, folder: DataFolder, origins: Callable[[], Origins], *, issues: bool = True) -> None:
        """`origins` tells those of the moment. One that `issues` nothing only reads: DataFolderError if there is something to issue."""
        self._folder, self._origins, self._issues = folder, origins, issues
        self._lock = threading.Lock()
        self._issued: _Issued | None = None
        self._leaf_key: Key | None = None
        self._contexts: dict[str, tuple[float, ssl.SSLContext]] = {}
        self._fetched = Fetched()

    @property
    def pem(self) -> bytes:
        """What clients have to trust."""
        return self._current().pem

    @property
    def fingerprint(self) -> str:
        """Its SHA-256, hexadecimal with colons."""
        return self._current().fingerprint

    @property
    def hosts(self) -> frozenset[str]:
        """The hosts that it is for: those of the origins that have a name."""
        return _hosts(self._origins())

    @property
    def mark(self) -> str | None:
        """What tells that a client trusts the current certificate; None if that names no host that not every earlier one names."""
        issued = self._current()
        mark = mark_of(issued.pem)
        return mark if issued.generations.named[mark] - issued.generations.common else None

    def knows(self, mark: str | None) -> bool:
        """Whether a mark is that of a certificate which this authority has or had."""
        return mark in self._current().generations.named

    def covered(self, mark: str | None, address: str | None) -> frozenset[str]:
        """The hosts that a client trusts this authority for, by its mark.

        Without one: those of the certificate that its address fetched last by hand, else those that every certificate names.
        """
        known = self._current().generations
        if mark is not None:
            return known.named.get(mark, frozenset())
        return known.named.get(self._fetched.of(address) or "", known.common)

    def fetched_by(self, address: str) -> None:
        """Notes that somebody at this address fetched the current certificate, for a client without a mark."""
        self._fetched.note(address, mark_of(self._current().pem))

    def renew_key(self) -> None:
        """Starts over with another key: every client has to trust the new one, for all hosts."""
        with self._lock:
            self._issue(None)

    def context_for(self, host: str) -> ssl.SSLContext:
        """What answers TLS as `host`, and as no other host that a client may name (SNI, RFC 6066 3). HTTP/1.1 only.

        SystemFailure if there is no descriptor, or no memory, to make it with.
        """
        issued = self._current()
        with self._lock:
            made, context = self._contexts.get(host, (0.0, None))
            if context is None or not -_SET_BACK < time.time() - made < _leaf_seconds() - _LEAF_RENEWED:
                context = self._made(issued, host)
                self._contexts[host] = (time.time(), context)
            return context

    def _current(self) -> _Issued:
        with self._lock:
            origins, stamp = self._origins(), _stamp(self._folder.ca)
            known = self._issued
            if known is None or known.stamp != stamp or known.origins is not origins:
                known = self._read()
            elif not known.is_timely:  # the clock was set
                with suppress(DataFolderError):  # who trusts the one of before goes on
                    known = self._read()
            return known

    def _read(self) -> _Issued:
        """From the files, if they are there and right; what is not is made."""
        from dataset_mirror.doors import certificates  # slow to import, and nobody waits for it at the start

        self._contexts.clear()
        origins = self._origins()
        try:
            key = certificates.key_of_pem(self._folder.ca_key.read_bytes())
        except FileNotFoundError:
            return self._issue(None)
        except (OSError, ValueError) as error:
            raise DataFolderError(
                f"The key of the certificate authority, {self._folder.ca_key}, cannot be read: {error}.",
                "Fix its permissions, or make a new one: dataset-mirror doctor --new-ca",
            ) from None
        try:
            pem = self._folder.ca.read_bytes()
            known = certificates.of_pem(pem)
        except (FileNotFoundError, ValueError):
            return self._issue(key)
        except OSError as error:
            raise _unreadable(self._folder.ca, error) from None
        if not certificates.still_good(known, key, _hosts(origins)):
            return self._issue(key, pem if known.public_key() == key.public_key() else None)
        return self._taken_up(key, known, pem, origins)

    def _issue(self, key: Key | None, before: bytes | None = None) -> _Issued:
        """With a new key if none is given; `before` is the certificate of this key that it takes the place of.

        The key is there before its certificate: one without the other is mended by `_read`.
        """
        from dataset_mirror.doors import certificates

        self._contexts.clear()
        if not self._issues:
            raise DataFolderError("The certificate authority is not there, or for other hosts.", "Wait until it was issued.")
        origins = self._origins()
        try:
            self._folder.ca.parent.mkdir(mode=0o700, exist_ok=True)
            if key is None:
                key = certificates.new_key()
                self._folder.ca_earlier.unlink(missing_ok=True)
                durable.replace(self._folder.ca_key, certificates.key_to_pem(key), durable.SECRET)
            certificate = certificates.issue_authority(key, _hosts(origins))
            pem = certificates.to_pem(certificate)
            if before:
                durable.replace(self._folder.ca_earlier, joined(self._earlier(), before))
            durable.replace(self._folder.ca, pem)
        except OSError as error:
            raise DataFolderError(
                f"The certificate authority cannot be kept in {self._folder.ca.parent}: {error.strerror}.", "Fix its permissions."
            ) from None
        return self._taken_up(key, certificate, pem, origins)

    def _taken_up(self, key: Key, certificate: Certificate, pem: bytes, origins: Origins) -> _Issued:
        from dataset_mirror.doors.certificates import fingerprint

        generations = Generations.of(self._earlier(), pem)
        self._issued = _Issued(key, certificate, pem, fingerprint(certificate), generations, origins, _stamp(self._folder.ca))
        return self._issued

    def _earlier(self) -> bytes:
        try:
            return self._folder.ca_earlier.read_bytes()
        except FileNotFoundError:
            return b""
        except OSError as error:
            raise _unreadable(self._folder.ca_earlier, error) from None

    def _made(self, issued: _Issued, host: str) -> ssl.SSLContext:
        """One key serves all leaves of a run: it is as secret as the authority's own."""
        from dataset_mirror.doors import certificates

        self._leaf_key = self._leaf_key or certificates.new_key()
        leaf = certificates.issue_leaf(issued.certificate, issued.key, self._leaf_key, host)
        try:
            with _in_memory(certificates.to_pem(leaf) + certificates.key_to_pem(self._leaf_key)) as file:
                context = server_context(file)
        except OSError as error:
            raise SystemFailure.of(error) from None
        context.sni_callback = _only(host)
        return context


def _unreadable(file: Path, error: OSError) -> DataFolderError:
    """One that is there is not replaced: clients trust what it says."""
    return DataFolderError(f"The file {file} of the certificate authority cannot be read: {error.strerror}.", "Fix its permissions.")


@contextmanager
def _in_memory(content: bytes) -> Iterator[Path]:
    """A file of nobody else: OpenSSL takes a key only from one, and the disk may be full or read-only."""
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("leaf", os.MFD_CLOEXEC)
        try:
            durable.write_all(descriptor, content)
            yield Path(f"/proc/self/fd/{descriptor}")
        finally:
            os.close(descriptor)
    else:
        with tempfile.NamedTemporaryFile() as file:  # 0600
            file.write(content)
            file.flush()
            yield Path(file.name)


def _only(host: str) -> Callable[[ssl.SSLObject, str | None, ssl.SSLContext], int | None]:
    """Refuses every other name; clients that name none were led here by CONNECT, which does."""

    def check(_: ssl.SSLObject, named: str | None, __: ssl.SSLContext) -> int | None:
        is_other = named is not None and named.lower().removesuffix(".") != host
        return ssl.ALERT_DESCRIPTION_UNRECOGNIZED_NAME if is_other else None

    return check


def _hosts(origins: Origins) -> frozenset[str]:
    hosts = (split_port(origin.authority)[0] for origin in origins)
    return frozenset(host for host in hosts if not is_address(host.strip("[]")))


def _leaf_seconds() -> float:
    from dataset_mirror.doors.certificates import LEAF_LIFE

    return LEAF_LIFE.total_seconds()


def _stamp(file: Path) -> tuple[int, int]:
    try:
        found = file.stat()
    except OSError:
        return (0, 0)
    return found.st_ino, found.st_mtime_ns
