"""What clients and operators hear of a bug in a page."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from dataset_mirror.main import assemble, open_mirror
from dataset_mirror.settings import load
from dataset_mirror.status import routes
from dataset_mirror.status.pages import archives

FIELDS = {"X-Request-ID": "told-by-the-client"}


def bug(*_: object) -> None:
    raise ZeroDivisionError("the bug of this test")


@pytest.fixture
async def client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[httpx.AsyncClient]:
    """A client of a mirror that fails whenever it is to explain something."""
    monkeypatch.setattr(routes, "explain", bug)
    monkeypatch.setattr(archives, "explain", bug)
    mirror = open_mirror(load(None, {"data": tmp_path / "data"}))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(assemble(mirror, 80).app), base_url="http://localhost") as client:
        yield client
    mirror.store.close()


async def test_a_bug_in_the_api(client: httpx.AsyncClient, caplog: pytest.LogCaptureFixture) -> None:
    """It is logged once, with traceback and request id; the client gets a problem document with that id."""
    answer = await client.get("/status/explain?url=https://data.example.org/a.zip", headers=FIELDS)
    problem = answer.json()
    assert (answer.status_code, answer.headers["content-type"], problem["status"]) == (500, "application/problem+json", 500)
    assert problem["type"] == "urn:dataset-mirror:internal-error"
    assert answer.headers["x-request-id"] == FIELDS["X-Request-ID"]
    assert FIELDS["X-Request-ID"] in problem["detail"]
    assert "log" in problem["hint"]
    (record,) = (one for one in caplog.records if one.levelno >= logging.ERROR)
    assert record.exc_info is not None
    assert isinstance(record.exc_info[1], ZeroDivisionError)
    assert FIELDS["X-Request-ID"] in record.getMessage()


async def test_a_bug_in_a_page(client: httpx.AsyncClient, caplog: pytest.LogCaptureFixture) -> None:
    """A browser gets a page that says so, with the id under which the log has the traceback, given or not."""
    answer = await client.get("/archives/data.example.org/a.zip", headers={"Accept": "text/html"})
    assert (answer.status_code, answer.headers["content-type"]) == (500, "text/html; charset=utf-8")
    given = answer.headers["x-request-id"]
    assert f"The mirror failed at this request ({given})" in answer.text
    assert "the bug of this test" not in answer.text
    assert [given in record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR] == [True]
