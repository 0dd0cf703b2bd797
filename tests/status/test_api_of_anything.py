"""Whatever a client sends to the API, the answer is one that /openapi.json lists. Skipped where schemathesis is not installed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from itertools import product
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable

from tests.conftest import StartMirror
from tests.serving import PATIENCE, Mirror

schemathesis = pytest.importorskip("schemathesis", reason="schemathesis is not installed")
checks = pytest.importorskip("schemathesis.specs.openapi.checks")

FEW = settings(
    max_examples=3,
    deadline=None,
    derandomize=True,
    database=None,
    phases=(Phase.explicit, Phase.generate),
    suppress_health_check=list(HealthCheck),
)


KEYED = ("/api/", "/status/answers", "/status/clients")
"""Paths for which it matters whether the mirror's key is sent."""


@pytest.fixture(scope="module")
def shared(start_shared_mirror: StartMirror) -> Mirror:
    """A mirror that has nothing, and may ask no origin."""
    return start_shared_mirror(presets=[], offline=True)


def operations(mirror: Mirror) -> Iterator[Any]:
    """What the API has, by its own words."""
    schema = schemathesis.openapi.from_url(f"{mirror.url}/openapi.json")
    for found in schema.get_all_operations():
        if (operation := found.ok()).path != "/status/events":  # it never ends
            yield operation


@pytest.mark.parametrize("allowed", [True, False], ids=["with its key", "without"])
def test_anything(shared: Mirror, allowed: bool) -> None:
    """No request makes an error of the server, and every answer is one that the document lists, as it describes it."""
    fields = shared.key if allowed else {}
    seen: set[int] = set()
    # A name that nothing has is refused with 400, and no schema can tell it from one that something has.
    excluded = [checks.positive_data_acceptance]
    for operation, mode in product(operations(shared), schemathesis.GenerationMode):

        @FEW
        @given(case=operation.as_strategy(generation_mode=mode))
        def ask(case: Any) -> None:
            response = case.call(headers=fields, timeout=PATIENCE)
            seen.add(response.status_code)
            rejected = [checks.negative_data_rejection] if response.status_code == 414 else []  # refused for its length, before all else
            case.validate_response(response, excluded_checks=excluded + rejected)

        with suppress(Unsatisfiable):  # some requests cannot be wrong
            ask()
    assert seen >= ({200, 400} if allowed else {200, 400, 403})
