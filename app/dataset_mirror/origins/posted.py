"""Questions that are asked by POST, most of them a JSON object of a few fields: a rule says that the answer goes by nothing else."""

import json
from collections.abc import Collection
from dataclasses import dataclass
from urllib.parse import quote

_JSON, _FORM = "application/json", "application/x-www-form-urlencoded"


@dataclass(frozen=True, slots=True)
class Posted:
    """Such a question. `body` in its one spelling, which is what the origin is sent; `names`: its fields as a scope may have them."""

    body: bytes
    names: dict[str, str]


def as_sent(body: bytes, content_type: str) -> bytes:
    """What tells a question from all others: its bytes and, unless they look like it, the media type that they are sent as."""
    kind = content_type.partition(";")[0].strip().lower()
    usual = _JSON if body.lstrip()[:1] in (b"{", b"[") else _FORM
    return body if kind == usual else f"{kind}\n".encode() + body


def posted(body: bytes, content_type: str, fields: Collection[str]) -> Posted | None:
    """The question in `body`; None if it is not JSON, or has other fields than `fields`, or values that are no texts or whole numbers."""
    if content_type.partition(";")[0].strip().lower() != _JSON:
        return None
    try:
        said = json.loads(body)
    except (ValueError, RecursionError):
        return None
    if not isinstance(said, dict) or not said.keys() <= set(fields) or not all(type(value) in (str, int) for value in said.values()):
        return None
    text = json.dumps(said, sort_keys=True, separators=(",", ":"))
    try:
        return Posted(text.encode(), {name: quote(str(value), safe="") for name, value in said.items()})
    except UnicodeEncodeError:  # half a character, which no path can have
        return None
