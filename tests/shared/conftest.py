"""Several mirrors of one origin, over a database and a bucket of their own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.origin import Origin
from tests.shared.cluster import Cluster, fresh_bucket, fresh_database


@pytest.fixture
def cluster(origin: Origin, tmp_path: Path) -> Iterator[Cluster]:
    """Mirrors of `origin`, for one test."""
    with Cluster(origin, tmp_path, fresh_database(), fresh_bucket()) as made:
        yield made
