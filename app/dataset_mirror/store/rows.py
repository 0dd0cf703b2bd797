"""Records as the rows of both tables, and the questions that give records."""

import json
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

from sqlalchemy import BindParameter, Connection, RowMapping, bindparam, select

from dataset_mirror.origins.identity import ArchiveId
from dataset_mirror.rules.conditions import Validators
from dataset_mirror.rules.fields import Fields
from dataset_mirror.store.database import damaged as damage_of
from dataset_mirror.store.listing import Listed
from dataset_mirror.store.record import Record, archive_of
from dataset_mirror.store.schema import archives, versions

# Made once: SQLAlchemy takes several times as long to make a statement as SQLite to run it, and a bundle may have many archives.
KEYS: BindParameter[Any] = bindparam("keys", expanding=True)
_FIND = select(archives).where(archives.c.key == bindparam("key"))
_VERSIONS = select(versions).where(versions.c.key.in_(KEYS)).order_by(versions.c.fetched.desc(), versions.c.sha256)
_USERS = select(versions).where(versions.c.sha256 == bindparam("digest")).order_by(versions.c.key)


def values_of(record: Record) -> dict[str, Any]:
    """A record as the columns that both tables have."""
    return {
        "key": str(record.archive),
        "sha256": record.sha256,
        "size": record.size,
        "md5": record.md5,
        "scheme": record.scheme,
        "etag": record.validators.etag,
        "last_modified": record.validators.last_modified,
        "date_is_strong": int(record.validators.date_is_strong),
        "fields": _written(record.fields),
        "source": record.source,
        "fetched": record.fetched,
        "checked": record.checked,
        "private": int(record.private),
        "restricted": record.restricted,
    }


@lru_cache(1024)
def _written(fields: Fields) -> str:
    """Most archives of an origin have the same."""
    return json.dumps(fields)


def record_of(row: RowMapping) -> Record:
    """The record in the columns that both tables have; IndexDamaged if they make no sense."""
    try:
        return _record(row)
    except (ValueError, TypeError, AttributeError) as error:
        raise damage_of("of archives", error) from error


def _record(row: RowMapping) -> Record:
    return Record(
        archive=archive_of(row["key"]),
        sha256=row["sha256"],
        size=row["size"],
        md5=row["md5"],
        scheme=row["scheme"],
        validators=Validators(row["etag"], row["last_modified"], bool(row["date_is_strong"])),
        fields=tuple((name, value) for name, value in json.loads(row["fields"])),
        source=row["source"],
        fetched=row["fetched"],
        checked=row["checked"],
        private=bool(row["private"]),
        restricted=row["restricted"],
    )


def listed(row: RowMapping) -> Listed:
    """The line of a list in a row of the current ones."""
    return Listed(record_of(row), row["state"], row["used"], row["hits"])


def current(connection: Connection, archive: ArchiveId) -> RowMapping | None:
    """The row of what is current for an archive, or None."""
    return connection.execute(_FIND, {"key": str(archive)}).mappings().first()


def versions_of(connection: Connection, those: Iterable[ArchiveId]) -> dict[ArchiveId, list[Record]]:
    """All versions of archives, the latest first."""
    kept: dict[ArchiveId, list[Record]] = {archive: [] for archive in those}
    for row in connection.execute(_VERSIONS, {"keys": [str(archive) for archive in kept]}).mappings():
        record = record_of(row)
        kept[record.archive].append(record)
    return kept


def users_of(connection: Connection, sha256: str) -> list[Record]:
    """Every version of every archive that is this blob."""
    return [record_of(row) for row in connection.execute(_USERS, {"digest": sha256}).mappings()]
