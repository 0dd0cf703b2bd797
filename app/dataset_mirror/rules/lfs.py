"""Git LFS' batch API, version 1, for downloads by the transfer `basic`: the bodies of its requests and answers.

https://github.com/git-lfs/git-lfs/blob/main/docs/api/batch.md, and basic-transfers.md beside it.
"""

import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

MEDIA_TYPE = "application/vnd.git-lfs+json"
_OID = re.compile("[0-9a-f]{64}")
_MOST = 10_000


@dataclass(frozen=True, slots=True)
class Object:
    """An object that is asked for, `size` in bytes; and what is answered for it: where it is, with which fields, or the error."""

    oid: str
    size: int
    href: str = ""
    fields: Mapping[str, str] = field(default_factory=dict)
    error: Mapping[str, Any] | None = None


def asked_for(body: bytes) -> list[Object] | None:
    """The objects that a request wants to download; None if it wants something else, or is none."""
    try:
        known = json.loads(body)
        if known.get("operation") != "download" or known.get("hash_algo", "sha256") != "sha256":
            return None
        return _objects(known["objects"], lambda each: Object(each["oid"], each["size"]))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


def question(objects: Iterable[Object]) -> bytes:
    """The request for these objects."""
    wanted = [{"oid": each.oid, "size": each.size} for each in objects]
    return json.dumps({"operation": "download", "transfers": ["basic"], "objects": wanted, "hash_algo": "sha256"}).encode()


def told(body: bytes) -> list[Object]:
    """The objects of an answer. ValueError if it is none, or goes by another transfer than `basic`."""
    try:
        known = json.loads(body)
        if known.get("transfer", "basic") != "basic":
            raise ValueError(f"it answers by the transfer {known['transfer']!r}")
        return _objects(known["objects"], _told)
    except (KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"no answer of a batch API: {error!r}") from None


def answer(objects: Iterable[Object]) -> bytes:
    """The answer with these objects."""
    return json.dumps({"transfer": "basic", "objects": [_as_answer(each) for each in objects], "hash_algo": "sha256"}).encode()


def _objects(listed: Any, read: Callable[[Any], Object]) -> list[Object]:
    if not isinstance(listed, list) or len(listed) > _MOST:
        raise ValueError("no list of objects")
    found = [read(each) for each in listed]
    if not all(isinstance(each.oid, str) and _OID.fullmatch(each.oid) and type(each.size) is int and each.size >= 0 for each in found):
        raise ValueError("an object without digest or size")
    return found


def _told(each: Any) -> Object:
    action = each.get("actions", {}).get("download", {})
    fields = {str(name): str(value) for name, value in action.get("header", {}).items()}
    return Object(each["oid"], each.get("size", 0), str(action.get("href", "")), fields, each.get("error"))


def _as_answer(each: Object) -> dict[str, Any]:
    known: dict[str, Any] = {"oid": each.oid, "size": each.size}
    if each.error is not None:
        return known | {"error": dict(each.error)}
    if not each.href:
        return known
    action = {"href": each.href} | ({"header": dict(each.fields)} if each.fields else {})
    return known | {"authenticated": True, "actions": {"download": action}}
