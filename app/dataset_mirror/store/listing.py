"""Lists of archives, page by page: a cursor marks the place, so that a page costs the same wherever it is."""

import base64
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from sqlalchemy import ColumnElement, Select, select, tuple_

from dataset_mirror.errors import BadRequest, SharedAway
from dataset_mirror.origins.identity import ArchiveId
from dataset_mirror.store.damaged import Damaged
from dataset_mirror.store.knowledge import Fact, Kind
from dataset_mirror.store.record import VOUCHED, Record
from dataset_mirror.store.schema import archives

State = Literal["verified", "computed", "adopted", "changed", "damaged"]
"""`verified`: its digest is vouched for; `computed`: as the origin sent it; `adopted`: as somebody brought it; `changed`: older
bytes are kept, too; `damaged`: its bytes were found to be, and have not come again (a list of its own)."""

Order = Literal["name", "used", "size", "fetched"]
_END_OF_PREFIX = "\U0010ffff"
_LARGEST = 2**63 - 1
"""The largest whole number that SQLite has."""
_ESCAPED = {ord(character): f"\\{character}" for character in "%_\\"}


@dataclass(frozen=True, slots=True)
class Query:
    """Which archives, in which order, and where the page begins."""

    order: Order = "name"
    descending: bool = False
    origin: str | None = None
    state: State | None = None
    prefix: str = ""
    """Beginning of HOST/PATH; for lists that are ordered by name."""
    limit: int = 100
    after: str | None = None
    """The cursor that the page before gave."""
    search: str = ""
    """A part of HOST/PATH, whatever its case."""
    used_before: float | None = None
    """Only what was not used since (seconds since the epoch)."""
    named: tuple[str, ...] = ()
    """Archives (HOST/PATH) that fit the search, too, since they have such a name in the catalog."""

    def __post_init__(self) -> None:
        if self.prefix and self.order != "name":
            raise BadRequest("Only a list that is sorted by name can be filtered by a name's beginning.", "Leave out `prefix` or `sort`.")


@dataclass(frozen=True, slots=True)
class Listed:
    """One line of a list: the current bytes, and how the archive was used (`used` in seconds since the epoch)."""

    record: Record
    state: State
    used: float
    hits: int
    elsewhere: bool = False
    """Whether it is not here, but in the bucket that several mirrors share."""


@dataclass(frozen=True, slots=True)
class Page:
    """A part of a list, and the cursor of what follows, if anything does."""

    archives: tuple[Listed, ...]
    next: str | None


class Lister(Protocol):
    """What people's words are looked up in: the index, or all that several mirrors have. Blocks."""

    @property
    def trouble(self) -> SharedAway | None:
        """Why not all that there is was looked through, if so."""

    def listed(self, archive: ArchiveId) -> Listed | None:
        """What lists say of the archive, or None."""

    def every(self, query: Query) -> Iterator[Listed]:
        """All that fits."""

    def versions(self, archive: ArchiveId) -> list[Record]:
        """All of its versions, the latest fetched first."""

    def damaged(self) -> list[Damaged]:
        """What was found to be damaged here."""

    def known(self, kind: Kind, about: str) -> Fact | None:
        """What an origin said."""


def state_of(kept: Sequence[Record]) -> State:
    """That of an archive with these versions."""
    if len(kept) > 1:
        return "changed"
    source = kept[0].source
    return "verified" if source in VOUCHED else "adopted" if source == "adopted" else "computed"


def statement(query: Query, *, most: int | None = None) -> Select[Any]:
    """All that fits, in order, from the cursor on; one row more than the page has (or `most`) tells whether another page follows."""
    order = order_of(query)
    found = select(archives).order_by(*(column.desc() if query.descending else column for column in order))
    if query.origin is not None:
        found = found.where(archives.c.origin == query.origin)
    if query.state is not None:
        found = found.where(archives.c.state == query.state)
    if query.prefix:
        found = found.where(archives.c.key >= query.prefix, archives.c.key < query.prefix + _END_OF_PREFIX)
    if query.search:
        found = found.where(has(query.search))
    if query.used_before is not None:
        found = found.where(archives.c.used < query.used_before)
    if query.after is not None:
        place = tuple_(*order)
        at = tuple_(*place_of(query.after, len(order)))
        found = found.where(place < at if query.descending else place > at)
    return found.limit(most or query.limit + 1)


def has(text: str) -> ColumnElement[bool]:
    """Whether HOST/PATH contains a text."""
    return archives.c.key.like(f"%{text.translate(_ESCAPED)}%", escape="\\")


def page_of(query: Query, rows: list[tuple[int, Listed]], reached: list[Any] | None = None) -> Page:
    """The page that these rows (id, line) make; `reached`: the place where looking for more ended, if it did."""
    shown = rows[: query.limit]
    if len(rows) > query.limit:
        return Page(tuple(line for _, line in shown), _cursor(query, *shown[-1]))
    return Page(tuple(line for _, line in shown), cursor_of(reached) if reached else None)


def order_of(query: Query) -> list[ColumnElement[Any]]:
    """The columns that a list is sorted by; together they are a place in it."""
    return [archives.c.key] if query.order == "name" else [archives.c[query.order], archives.c.id]


def _cursor(query: Query, row_id: int, last: Listed) -> str:
    values = {"used": last.used, "size": last.record.size, "fetched": last.record.fetched}
    place = [str(last.record.archive)] if query.order == "name" else [values[query.order], row_id]
    return cursor_of(place)


def cursor_of(place: list[Any]) -> str:
    """A place in an ordered list, as text for URLs."""
    return base64.urlsafe_b64encode(json.dumps(place).encode()).decode().rstrip("=")


def place_of(cursor: str, parts: int) -> list[Any]:
    """The place of a cursor: a text if it has one part, else numbers. BadRequest if it is none."""
    try:
        place = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        json.dumps(place, ensure_ascii=False, allow_nan=False).encode()  # neither half characters nor infinity: no database takes them
    except (ValueError, RecursionError):
        place = None
    if not isinstance(place, list) or len(place) != parts or not all(_fits(part, is_text=parts == 1) for part in place):
        raise BadRequest("`after` is not a cursor of this list.", "Take it from `next` of the page before.")
    return place


def _fits(part: Any, *, is_text: bool) -> bool:
    if is_text:
        return isinstance(part, str)
    return type(part) in (int, float) and abs(part) <= _LARGEST
