"""Several mirrors of one origin, over a database and a bucket of their own."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from itertools import count
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
from obstore.store import S3Store

from tests.origin import Origin
from tests.serving import Mirror, environment, mirroring
from tests.shared.bucket import REGION, bucket_store, make_bucket
from tests.shared.ceph import ACCESS, SECRET
from tests.shared.services import MISSING, database_port, service

_NUMBERS = count()


class Cluster:
    """Mirrors that share one store."""

    def __init__(self, origin: Origin, folder: Path, database: str, bucket: dict[str, str]) -> None:
        self.origin, self.folder, self.database, self.bucket = origin, folder, database, bucket
        self._ends = ExitStack()

    def __enter__(self) -> Cluster:
        return self

    def __exit__(self, *_: object) -> None:
        self._ends.close()

    def start(self, **settings: object) -> Mirror:
        """One more mirror."""
        return self._ends.enter_context(self.mirror(None, **settings))

    def mirror(self, data: Path | None = None, **settings: object) -> Mirror:
        """One more, not yet started."""
        data = data or self.folder / f"data-{next(_NUMBERS)}"
        known = {"shared": self.database, "bucket": self.bucket, **settings}
        return mirroring(self.origin, data, **{name: value for name, value in known.items() if value is not None})

    def environment(self, data: Path) -> dict[str, str]:
        """That of a command beside one of them."""
        return environment(data, self.mirror(data)._settings)

    @property
    def store(self) -> S3Store:
        """The bucket, as the mirrors see it."""
        name, _, prefix = self.bucket["url"].removeprefix("s3://").partition("/")
        return bucket_store(self.bucket["endpoint"], name, prefix)

    def rows(self, query: str) -> list[tuple[object, ...]]:
        """What the database says."""
        with psycopg.connect(self.database, autocommit=True) as connection:
            try:
                cursor = connection.execute(query.encode())
            except psycopg.errors.UndefinedTable:  # no mirror has come yet
                return []
            return cursor.fetchall() if cursor.description else []


def kept(cluster: Cluster, number: int = 1) -> Callable[[], bool]:
    """Whether so many blobs are in the bucket, and known to all."""
    return lambda: cluster.rows("SELECT count(*) FROM objects WHERE state = 'kept'") == [(number,)]


def _need(name: str) -> None:
    if MISSING[name]:
        pytest.skip(MISSING[name])


def fresh_database() -> str:
    """An empty database of the run's PostgreSQL."""
    _need("postgres")
    name = f"mirrors_{uuid4().hex}"
    server = f"postgresql://mirror@127.0.0.1:{database_port()}"
    with psycopg.connect(f"{server}/postgres", autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}".encode())
    return f"{server}/{name}"


def fresh_bucket() -> dict[str, str]:
    """An empty place in a bucket of the run's gateway, as the settings have it."""
    _need("ceph")
    endpoint = service("ceph")
    make_bucket(endpoint, "mirrors")
    place = {"url": f"s3://mirrors/{uuid4().hex}", "endpoint": endpoint, "region": REGION}
    return {**place, "access_key_id": ACCESS, "secret_access_key": SECRET}
