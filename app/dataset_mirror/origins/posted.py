"""Questions that are asked by POST: a JSON object of a few fields, of which a rule says that they are all that the answer goes by."""

import json
from collections.abc import Collection
from dataclasses import dataclass
from urllib.parse import quote


@dataclass(frozen=True, slots=True)
class Posted:
    """Such a question. `body` in its one spelling, which is what the origin is sent; `names`: its fields as a scope may have them."""

    body: bytes
    names: dict[str, str]


def posted(body: bytes, content_type: str, fields: Collection[str]) -> Posted | None:
    """The question in `body`; None if it is not JSON, or has other fields than `fields`, or values that are no texts or whole numbers."""
    if content_type.partition(";")[0].strip().lower() != "application/json":
        return None
    try:
        said = json.loads(body)
    except (ValueError, RecursionError):
        return None
    if not isinstance(said, dict) or not said.keys() <= set(fields) or not all(type(value) in (str, int) for value in said.values()):
        return None
    text = json.dumps(said, sort_keys=True, separators=(",", ":"))
    return Posted(text.encode(), {name: quote(str(value), safe="") for name, value in said.items()})
