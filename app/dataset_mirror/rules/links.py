"""Link fields that lead on to other URLs of the same API (RFC 8288), such as the next page: led back to where a client asked."""

import re
from collections.abc import Callable, Iterator

_LINK = re.compile(r'\s*<(?P<target>[^<>]*)>(?P<parameters>(?:[^,"]|"(?:[^"\\]|\\.)*")*)(?:,|$)')
_RELATION = re.compile(r';\s*rel\s*=\s*(?:"(?P<quoted>[^"]*)"|(?P<bare>[^\s;,"]+))', re.IGNORECASE)
PAGES = frozenset(["next", "prev", "previous", "first", "last"])
"""Relations between the pages of one answer (RFC 8288 3.3, IANA's registry)."""

Place = Callable[[str], str | None]
"""Where a client finds an absolute URL, such as `http://mirror/HOST/path`; None if it is not to be asked for here."""


def led_back(value: str, place: Place) -> str:
    """A Link field whose pages are where `place` says. What is no page, no absolute URL or not understood stays as it is."""
    links = list(_links(value))
    if not links or links[-1].end() != len(value):
        return value
    return "".join(_led(link, place) for link in links)


def following(value: str) -> str | None:
    """Where a Link field says that the next page is; None if it does not."""
    return next((link["target"] for link in _links(value) if "next" in _relations(link["parameters"])), None)


def _links(value: str) -> Iterator[re.Match[str]]:
    """The links of a field, up to what is none."""
    end = 0
    while link := _LINK.match(value, end):
        yield link
        end = link.end()


def _led(link: re.Match[str], place: Place) -> str:
    target = link["target"]
    if not target.lower().startswith(("http://", "https://")) or not PAGES & _relations(link["parameters"]):
        return link[0]
    there = place(target)
    return link[0] if there is None else link[0].replace(f"<{target}>", f"<{there}>", 1)


def _relations(parameters: str) -> set[str]:
    """The relation types; only the first `rel` counts (RFC 8288 3.3)."""
    found = _RELATION.search(parameters)
    return set((found["quoted"] or found["bare"] or "").lower().split()) if found else set()
