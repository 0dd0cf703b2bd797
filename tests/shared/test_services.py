"""The servers that the tests of shared stores run against are there and real."""

import psycopg
import pytest

from tests.shared.bucket import bucket_store, make_bucket
from tests.shared.services import MISSING, database_port, service


@pytest.mark.skipif(bool(MISSING["postgres"]), reason=MISSING["postgres"])
def test_postgres() -> None:
    """A PostgreSQL answers."""
    with psycopg.connect(f"postgresql://mirror@127.0.0.1:{database_port()}/postgres") as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)


@pytest.mark.skipif(bool(MISSING["ceph"]), reason=MISSING["ceph"])
def test_gateway() -> None:
    """An S3 gateway keeps an object."""
    make_bucket(service("ceph"), "looked-at")
    store = bucket_store(service("ceph"), "looked-at")
    store.put("a", b"bytes")
    assert bytes(store.get("a").bytes()) == b"bytes"
