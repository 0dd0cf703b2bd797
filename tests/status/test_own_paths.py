"""The pages' own paths, which the routing of requests learns from their routes."""

from __future__ import annotations

import json
import re

import pytest

from tests.conftest import StartMirror
from tests.serving import Mirror
from tests.status.html import loaded, read

GREEDY = [{"url": "https://all.example.org", "paths": ["/status/", "/api/", "/static/", "/docs", "/metrics", "/healthz"]}]


@pytest.fixture(scope="module")
def shared(start_shared_mirror: StartMirror) -> Mirror:
    """A mirror with an origin that lists the very paths of pages."""
    return start_shared_mirror(origins=GREEDY)


def test_every_route_is_reached(shared: Mirror) -> None:
    """Each route of /openapi.json is answered by a page at its path, whatever the origins list."""
    paths = json.loads(shared.get("/openapi.json").body)["paths"]
    assert len(paths) > 20
    for path, operations in paths.items():
        asked = re.sub(r"\{\w+\}", "nothing.example.org/x", path)
        if path == "/status/events":
            continue  # it never ends
        for method in operations:
            answer = shared.get(asked, method.upper())
            assert "{" in path or b"No origin" not in answer.body, asked
            assert b"Not Found" not in answer.body, asked
            assert answer.status in (200, 400, 403, 404), (asked, answer.status)


def test_every_file_of_a_page_is_reached(shared: Mirror) -> None:
    """All that pages load, and the pages without a schema, are there by their paths."""
    for page in ("/", "/docs", "/favicon.ico", "/openapi.json"):
        assert shared.get(page).status == 200, page
    for name in {*loaded(read(shared.get("/docs").body)), *loaded(read(shared.get("/").body))}:
        assert shared.get(name).status == 200, name


def test_what_no_page_has(shared: Mirror) -> None:
    """A path below a page's folder is no archive, and is a 404; one of a page without a folder is looked for among archives."""
    assert shared.get("/status/nothing").problem["status"] == 404
    assert shared.get("/healthz/nothing").problem["status"] == 403
