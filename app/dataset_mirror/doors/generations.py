"""The certificates that the authority has had, and which hosts each names: a client goes on trusting the one that it was given."""

from __future__ import annotations

import re
from collections import OrderedDict
from dataclasses import dataclass
from functools import reduce

from dataset_mirror.rules.marks import mark_of

Hosts = frozenset[str]
_ONE = re.compile(rb"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----\n?", re.DOTALL)
_MOST = 500
"""Certificates that are remembered: the first one, and the last ones. A client with another counts as one that trusts none."""
_MOST_ADDRESSES = 10_000


def joined(earlier: bytes, one: bytes) -> bytes:
    """A file of earlier certificates, in PEM, with one more at its end."""
    known = list(dict.fromkeys([*_ONE.findall(earlier), one.strip() + b"\n"]))
    return b"".join(known[:1] + known[1:][1 - _MOST :])


@dataclass(frozen=True, slots=True)
class Generations:
    """The hosts by the marks of the certificates that name them."""

    named: dict[str, Hosts]

    @classmethod
    def of(cls, earlier: bytes, current: bytes) -> Generations:
        """Those of a file of earlier certificates and of the current one. What is no certificate there is passed over."""
        return cls({mark_of(pem): hosts for pem in (*_ONE.findall(earlier), current) if (hosts := _hosts(pem)) is not None})

    @property
    def common(self) -> Hosts:
        """The hosts that every one of them names: a client that does not say which it has can be answered for these."""
        return reduce(frozenset.intersection, self.named.values())


def _hosts(pem: bytes) -> Hosts | None:
    from dataset_mirror.doors.certificates import named_hosts, of_pem

    try:
        return named_hosts(of_pem(pem))
    except ValueError:
        return None


class Fetched:
    """Which certificate an address fetched last by hand. In memory, for so many addresses."""

    def __init__(self, most: int = _MOST_ADDRESSES) -> None:
        self._marks: OrderedDict[str, str] = OrderedDict()
        self._most = most

    def note(self, address: str, mark: str) -> None:
        self._marks[address] = mark
        self._marks.move_to_end(address)
        while len(self._marks) > self._most:
            self._marks.popitem(last=False)

    def of(self, address: str | None) -> str | None:
        return self._marks.get(address or "")
