"""The tables of the index, schema version 6."""

from sqlalchemy import Column, Float, Index, Integer, MetaData, String, Table, Text, UniqueConstraint

VERSION = 6

metadata = MetaData()


def _facts() -> list[Column[object]]:
    """What both tables know of bytes at a URL; fresh columns at each call, since a column belongs to one table."""
    return [
        Column("sha256", String(64), nullable=False),
        Column("size", Integer, nullable=False),
        Column("md5", String(32)),
        Column("scheme", String(5), nullable=False),
        Column("etag", Text),
        Column("last_modified", Text),
        Column("date_is_strong", Integer, nullable=False),
        Column("fields", Text, nullable=False),
        Column("source", String(8), nullable=False),
        Column("fetched", Float, nullable=False),
        Column("checked", Float, nullable=False),
        Column("private", Integer, nullable=False, server_default="0"),
        Column("restricted", Text),
    ]


def _orders() -> list[Index]:
    """An index for each order that lists have, alone and behind each column that they are filtered by: no page is ever sorted."""
    found = [Index(f"archives_by_{order}", order, "id") for order in ("used", "size", "fetched")]
    for first in ("origin", "state"):
        found.append(Index(f"archives_by_{first}", first, "key"))
        found += [Index(f"archives_by_{first}_{order}", first, order, "id") for order in ("used", "size", "fetched")]
    return found


archives = Table(
    "archives",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("key", Text, nullable=False, unique=True),
    Column("origin", Text, nullable=False),
    *_facts(),
    Column("hits", Integer, nullable=False, default=0),
    Column("used", Float, nullable=False),
    Column("state", String(8), nullable=False, server_default="computed"),
    Index("archives_by_blob", "sha256"),
    Index("archives_by_age", "used", "size"),
    *_orders(),
)
"""The current bytes of each archive. `key` is authority + path + query; `used` the time of the last request; `state` is
`verified` (a digest that is vouched for), `computed` (what the origin sent), `adopted` (what somebody brought), or `changed` (older
bytes are kept, too)."""

versions = Table(
    "versions",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("key", Text, nullable=False),
    *_facts(),
    UniqueConstraint("key", "sha256"),
    Index("versions_by_blob", "sha256", "key"),
)
"""All bytes that are kept for an archive, the current ones too."""

wanted = Table(
    "wanted",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("key", Text, nullable=False, unique=True),
    Column("count", Integer, nullable=False),
    Column("first", Float, nullable=False),
    Column("last", Float, nullable=False),
    Column("asked_by", Text),
    Index("wanted_by_last", "last", "id"),
)
"""Archives that were asked for while they could not be fetched: how often, first and last when, and from which address the last
time. None of them is in `archives`."""

damaged = Table(
    "damaged",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("key", Text, nullable=False, unique=True),
    Column("scheme", String(5), nullable=False),
    Column("sha256", String(64), nullable=False),
    Column("size", Integer, nullable=False),
    Column("fetched", Float, nullable=False),
    Column("found", Float, nullable=False),
)
"""Archives whose bytes were found to be damaged, and that have not come again. None of them is in `archives`."""

failures = Table(
    "failures",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("at", Float, nullable=False),
    Column("url", Text, nullable=False),
    Column("status", Integer, nullable=False),
    Column("detail", Text, nullable=False),
    Column("hint", Text, nullable=False),
)
"""The latest downloads that failed, the latest last."""

knowledge = Table(
    "knowledge",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("kind", String(10), nullable=False),
    Column("about", Text, nullable=False),
    Column("scope", Text, nullable=False),
    Column("checked", Float, nullable=False),
    Column("line", Text, nullable=False),
    UniqueConstraint("kind", "about"),
    Index("knowledge_by_scope", "scope"),
)
"""What origins said that is no bytes: see `knowledge.py`."""

kept = Table(
    "kept",
    metadata,
    Column("origin", Text, primary_key=True),
    Column("archives", Integer, nullable=False),
    Column("size", Integer, nullable=False),
    sqlite_with_rowid=False,
)
"""What is kept of each origin: archives, and bytes of blobs, each counted for one origin."""

history = Table(
    "history",
    metadata,
    Column("step", Integer, primary_key=True),
    Column("of", String(8), primary_key=True),
    Column("at", Integer, primary_key=True),
    Column("name", Text, primary_key=True),
    Column("served", Integer, nullable=False),
    Column("fetched", Integer, nullable=False),
    Column("hits", Integer, nullable=False),
    Column("misses", Integer, nullable=False),
    Column("failures", Integer, nullable=False),
    Column("seconds", Float, nullable=False),
    sqlite_with_rowid=False,
)
"""What was asked for in each minute, hour and day (`step` in seconds, which began `at`), in all, and by origin, dataset and network."""

changes = Table(
    "changes",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("at", Float, nullable=False),
    Column("kind", String(10), nullable=False),
    Column("what", Text, nullable=False),
    Column("size", Integer, nullable=False),
    Column("by", Text, nullable=False),
    Column("detail", Text, nullable=False),
    Index("changes_by_kind", "kind", "id"),
    sqlite_autoincrement=True,
)
"""The log of changes, the latest last."""

counters = Table("counters", metadata, Column("name", String(40), primary_key=True), Column("value", Integer, nullable=False))
"""Running totals, so that nothing is counted per request: `archives`, `archive_bytes`, `blob_bytes`, and what requests add up to."""
