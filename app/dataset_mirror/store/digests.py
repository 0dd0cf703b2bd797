"""Digests of bytes as they pass: SHA-256 always, others beside it where they are needed."""

import hashlib
import zlib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

from dataset_mirror.rules.digests import Algorithm

_MD5_DIGITS = 32


@dataclass(frozen=True, slots=True)
class Digests:
    """In hex by algorithm: `sha256` always, others where they were asked for."""

    known: Mapping[str, str]

    @property
    def sha256(self) -> str:
        return self.known["sha256"]

    @property
    def md5(self) -> str | None:
        return self.known.get("md5")

    @property
    def all(self) -> tuple[str, ...]:
        """In hex, SHA-256 first."""
        return tuple(self.known.values())

    def has_any(self, expected: Iterable[str]) -> bool:
        """Whether SHA-256 or MD5 is among `expected`, whichever of the two these are."""
        return not {self.sha256, self.md5}.isdisjoint(expected)


class Digesting:
    """Several digests of the same bytes, which are taken in order; `size` is how many there were."""

    def __init__(self, also: Iterable[Algorithm] = ()) -> None:
        self._sums = {name: _sum(name) for name in _with_sha256(also)}
        self.size = 0

    def update(self, data: bytes | memoryview) -> None:
        for each in self._sums.values():
            each.update(data)
        self.size += len(data)

    @property
    def digests(self) -> Digests:
        """Of what was taken so far."""
        return Digests({name: each.hexdigest() for name, each in self._sums.items()})


class Hashing(Digesting):
    """SHA-256, and MD5 where the catalog knows nothing else."""

    def __init__(self, *, md5: bool) -> None:
        super().__init__(("md5",) if md5 else ())


class _Sum(Protocol):
    def update(self, data: bytes | memoryview, /) -> None: ...
    def hexdigest(self) -> str: ...


class _Crc32:
    def __init__(self) -> None:
        self._value = 0

    def update(self, data: bytes | memoryview) -> None:
        self._value = zlib.crc32(data, self._value)

    def hexdigest(self) -> str:
        return f"{self._value:08x}"


_MODELS = {"crc32c": "CRC32C", "crc64nvme": "CRC64-NVME", "crc64xz": "CRC64-XZ"}
"""Of the other checksums, by the names of the catalogue of parametrised CRC algorithms; of no bytes each is 0."""


class _Crc:
    def __init__(self, algorithm: Algorithm) -> None:
        import anycrc  # commands that fetch nothing need not wait for it

        self._model = anycrc.Model(_MODELS[algorithm])
        self._digits, self._value = 16 if "64" in algorithm else 8, 0

    def update(self, data: bytes | memoryview) -> None:
        if len(data):
            self._value = self._model.calc(data, self._value)

    def hexdigest(self) -> str:
        return f"{self._value:0{self._digits}x}"


def _with_sha256(also: Iterable[Algorithm]) -> tuple[Algorithm, ...]:
    return ("sha256", *also)


def _sum(algorithm: Algorithm) -> _Sum:
    if algorithm in _MODELS:
        return _Crc(algorithm)
    return _Crc32() if algorithm == "crc32" else hashlib.new(algorithm, usedforsecurity=False)


def digests_of(chunks: Iterable[bytes], *, md5: bool) -> Digests:
    """Of all these bytes. Blocks."""
    hashing = Hashing(md5=md5)
    for chunk in chunks:
        hashing.update(chunk)
    return hashing.digests


def any_is_md5(digests: Collection[str]) -> bool:
    """Whether MD5 is needed to compare with these, in hex."""
    return any(len(digest) == _MD5_DIGITS for digest in digests)
