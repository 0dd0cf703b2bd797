"""Requests that no page of ours makes: each is told what is wrong with it, and none is a failure of the mirror."""

from __future__ import annotations

import base64
from urllib.parse import urlencode

import pytest

from tests.conftest import StartMirror
from tests.serving import Mirror

HUGE = "[123456789012345678901234567890, 1]"


@pytest.fixture(scope="module")
def shared(start_shared_mirror: StartMirror) -> Mirror:
    """A mirror that has nothing."""
    return start_shared_mirror()


@pytest.mark.parametrize(
    ("path", "place"),
    [
        ("/status/archives", "[" * 3000),
        ("/status/archives", '["\\ud800"]'),
        ("/status/archives?sort=size", HUGE),
        ("/archives?sort=size", HUGE),
        ("/status/archives?sort=used", "[NaN, 1]"),
        ("/status/changes", HUGE),
        ("/status/changes", "[Infinity, 1]"),
        ("/status/changes", "[NaN, 1]"),
        ("/status/changes", "[1e300, 1]"),
        ("/status/wanted", HUGE),
        ("/wanted", HUGE),
    ],
)
def test_cursors(shared: Mirror, path: str, place: str) -> None:
    """A cursor that no list ever gave is a 400, whatever is in it."""
    cursor = base64.urlsafe_b64encode(place.encode()).decode().rstrip("=")
    problem = shared.get(f"{path}{'&' if '?' in path else '?'}after={cursor}").problem
    assert problem["status"] == 400
    assert "cursor" in problem["detail"]


def test_the_first_moment(shared: Mirror) -> None:
    """A time that is none in the mirror's time zone is a 400 at most; with its zone it is a time like any other."""
    assert shared.get("/status/archives?last_used_before=0001-01-01T00:00:00").status in (200, 400)
    assert shared.get("/status/archives?last_used_before=0001-01-01T00:00:00Z").status == 200


def test_forms(shared: Mirror) -> None:
    """A form with more fields than the page's own is a 400."""
    form = urlencode([("what", "pin"), *((f"field{number}", "x") for number in range(20))]).encode()
    problem = shared.get("/status/act", "POST", {"Content-Type": "application/x-www-form-urlencoded"}, form).problem
    assert problem["status"] == 400


def test_what_the_api_has_not(shared: Mirror) -> None:
    """What the API does not have is told with the method that was asked for."""
    for method in ("GET", "DELETE"):
        assert f"no {method} /api/fetch" in shared.get("/api/fetch", method, shared.key).problem["detail"]


def test_a_form_that_is_too_large(shared: Mirror) -> None:
    """A form that is larger than any of ours is a 413, before it is looked at."""
    answer = shared.get("/status/act", "POST", {"Content-Type": "application/x-www-form-urlencoded"}, b"name=" + b"x" * 70_000)
    assert answer.problem["status"] == 413
