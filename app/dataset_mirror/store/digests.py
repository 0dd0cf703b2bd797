"""SHA-256 of bytes as they pass, and MD5 beside it where only that is known."""

import hashlib
from collections.abc import Collection, Iterable
from dataclasses import dataclass

_MD5_DIGITS = 32


@dataclass(frozen=True, slots=True)
class Digests:
    """In hex; `md5` only where it was asked for."""

    sha256: str
    md5: str | None = None

    @property
    def known(self) -> tuple[str, ...]:
        """Those that are known, SHA-256 first."""
        return (self.sha256,) if self.md5 is None else (self.sha256, self.md5)

    def has_any(self, expected: Iterable[str]) -> bool:
        """Whether one of them is among `expected`, whichever of the two kinds these are."""
        return not set(self.known).isdisjoint(expected)


class Hashing:
    """Takes bytes in order; `size` is how many there were."""

    def __init__(self, *, md5: bool) -> None:
        self._sha256 = hashlib.sha256()
        self._md5 = hashlib.md5(usedforsecurity=False) if md5 else None
        self.size = 0

    def update(self, data: bytes | memoryview) -> None:
        self._sha256.update(data)
        if self._md5:
            self._md5.update(data)
        self.size += len(data)

    @property
    def digests(self) -> Digests:
        """Of what was taken so far."""
        return Digests(self._sha256.hexdigest(), self._md5.hexdigest() if self._md5 else None)


def digests_of(chunks: Iterable[bytes], *, md5: bool) -> Digests:
    """Of all these bytes. Blocks."""
    hashing = Hashing(md5=md5)
    for chunk in chunks:
        hashing.update(chunk)
    return hashing.digests


def any_is_md5(digests: Collection[str]) -> bool:
    """Whether MD5 is needed to compare with these, in hex."""
    return any(len(digest) == _MD5_DIGITS for digest in digests)
