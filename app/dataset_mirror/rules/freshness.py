"""How long stored bytes are good without asking their origin (policy `archive`; RFC 9111 4.2, RFC 5861 3)."""

import math
from collections.abc import Collection
from dataclasses import dataclass

from dataset_mirror.rules.conditions import Validators

RETRY_SECONDS = 300.0
"""While checks of an archive fail, it is checked at most this often: a dead origin must not cost each hit a timeout."""


CLOCK_SECONDS = 1.0
"""How far in the future a check may seem to be: a clock is never set exactly."""
_MOST_SECONDS = 2**31


@dataclass(frozen=True, slots=True)
class Freshness:
    """`ttl`: seconds until these bytes are stale, negative since when they are; None if they can never be."""

    ttl: float | None

    @property
    def is_stale(self) -> bool:
        return self.ttl is not None and self.ttl < 0

    def as_parameter(self) -> tuple[str, ...]:
        """For Cache-Status (RFC 9211 2.5): `ttl=-5`; nothing where there is no end."""
        return () if self.ttl is None else (f"ttl={math.floor(self.ttl)}",)


def freshness(now: float, checked: float, lifetime: float, *, digests: Collection[str], expected: Collection[str]) -> Freshness:
    """Bytes with a digest that the catalog expects are immutable; with another one than it expects, stale at once.

    An infinite lifetime is that of bytes that never change at their URL.
    """
    if expected:
        return Freshness(None) if set(digests) & set(expected) else Freshness(min(-1.0, checked - now))
    if lifetime == math.inf:
        return Freshness(None)
    if checked > now + CLOCK_SECONDS:  # a clock was wrong then, or is now: nothing is known of their age
        return Freshness(-1.0)
    return Freshness(checked + lifetime - now)


def initial_age(field: str | None) -> float:
    """Seconds that an Age field tells of, at most 2^31 (RFC 9111 1.2.2 and 5.1); 0 if there is none, or it cannot be read."""
    first = (field or "").split(",")[0].strip()
    return float(min(int(first), _MOST_SECONDS)) if first.isascii() and first.isdecimal() and len(first) < 99 else 0.0


def conditions(validators: Validators) -> dict[str, str]:
    """Request fields that ask for the bytes only if they are others now (RFC 9111 4.3.1)."""
    fields = {}
    if validators.etag:
        fields["if-none-match"] = validators.etag
    if validators.last_modified:
        fields["if-modified-since"] = validators.last_modified
    return fields
