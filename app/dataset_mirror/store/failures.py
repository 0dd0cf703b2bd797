"""The latest downloads that failed, over restarts. The list is short, and is written as a whole."""

from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import Connection, delete, insert, select

from dataset_mirror.store.schema import failures

MOST = 50


@dataclass(frozen=True, slots=True)
class Failed:
    """A download that failed: when (seconds since the epoch), of what, with which HTTP status, and in which words."""

    at: float
    url: str
    status: int
    detail: str
    hint: str


def put(connection: Connection, known: Iterable[Failed]) -> None:
    """Makes these the list, the latest last."""
    rows = [{"at": one.at, "url": one.url, "status": one.status, "detail": one.detail, "hint": one.hint} for one in known]
    connection.execute(delete(failures))
    if rows:
        connection.execute(insert(failures), rows[-MOST:])


def every(connection: Connection) -> list[Failed]:
    """The list, the latest last."""
    rows = connection.execute(select(failures).order_by(failures.c.id)).mappings()
    return [Failed(row["at"], row["url"], row["status"], row["detail"], row["hint"]) for row in rows]
