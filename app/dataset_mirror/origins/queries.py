"""Which fields of a query are identity, and which only say how, by whom or until when the bytes may be had."""

import re
from collections.abc import Collection
from urllib.parse import unquote_plus

WAYS = ("keep", "ignore", "drop-signature")

_ALWAYS = re.compile(r"x-(?:amz|goog)-.*|response-(?:content-.*|cache-control|expires)|download")
"""Fields, in lower case, that never name other bytes: AWS' and Google's signatures, and how to send the bytes."""
_BESIDE = {
    "signature": frozenset(["awsaccesskeyid", "googleaccessid", "signature", "expires", "policy", "key-pair-id", "x-id"]),
    "sig": frozenset(["sig", "se", "st", "sp", "sv", "sr", "spr", "sip", "ske", "skt", "sks", "skv", "skoid", "sktid", "sdd"]),
    "x-amz-signature": frozenset(["x-id"]),
}
"""Fields that belong to a signature only beside the field that is one: CloudFront's and older ones, Azure's, the AWS kits'."""


def check_query_rule(value: object) -> object:
    """Checked here as a whole: the errors of a union say nothing to a person."""
    if value in WAYS:
        return value
    if not isinstance(value, list | tuple) or not value or not all(isinstance(name, str) and name for name in value):
        raise ValueError('it is "keep", "ignore", "drop-signature", or a list of the fields that are identity, such as ["id"]')
    return tuple(value)


def identifying(query: str, rule: str | Collection[str]) -> str:
    """What of a query is identity by the rule; fields keep their order and their spelling."""
    if rule == "keep" or not query:
        return query
    if rule == "ignore":
        return ""
    parts = query.split("&")
    dropped = _signing(parts) if rule == "drop-signature" else None
    return "&".join(part for part in parts if (_name(part) in rule if dropped is None else not _signs(part, dropped)))


def _name(part: str) -> str:
    return unquote_plus(part.partition("=")[0])


def _signing(parts: Collection[str]) -> frozenset[str]:
    names = {_name(part).lower() for part in parts}
    return frozenset().union(*(fields for mark, fields in _BESIDE.items() if mark in names))


def _signs(part: str, dropped: Collection[str]) -> bool:
    name = _name(part).lower()
    return name in dropped or _ALWAYS.fullmatch(name) is not None
