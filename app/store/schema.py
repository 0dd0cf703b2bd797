"""The tables of the index, schema version 1."""

from sqlalchemy import Column, Float, Index, Integer, MetaData, String, Table, Text, UniqueConstraint

VERSION = 1

metadata = MetaData()

_VERSION_COLUMNS = ("sha256", "size", "md5", "scheme", "etag", "last_modified", "date_is_strong", "fields", "source", "fetched", "checked")


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
    ]


archives = Table(
    "archives",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("key", Text, nullable=False, unique=True),
    Column("origin", Text, nullable=False),
    *_facts(),
    Column("hits", Integer, nullable=False, default=0),
    Column("used", Float, nullable=False),
    Index("archives_by_origin", "origin", "key"),
    Index("archives_by_used", "used", "id"),
    Index("archives_by_size", "size", "id"),
    Index("archives_by_fetched", "fetched", "id"),
    Index("archives_by_blob", "sha256"),
)
"""The current bytes of each archive. `key` is authority + path + query; `used` the time of the last request."""

versions = Table(
    "versions",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("key", Text, nullable=False),
    *_facts(),
    UniqueConstraint("key", "sha256"),
    Index("versions_by_blob", "sha256"),
)
"""All bytes that were ever published for an archive, the current ones too."""

counters = Table("counters", metadata, Column("name", String(40), primary_key=True), Column("value", Integer, nullable=False))
"""Running totals, so that nothing is counted per request."""
