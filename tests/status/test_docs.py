"""`/docs` and the files of pages, which come from the mirror alone."""

from __future__ import annotations

import hashlib
import json
import re
from importlib.resources import files
from typing import Any

import pytest
from openapi_spec_validator import validate
from playwright.sync_api import expect

from tests.conftest import StartMirror
from tests.serving import Mirror
from tests.status.browser import needs_browser, started
from tests.status.html import loaded, read

VENDORED = {
    "swagger-ui-5.35.0.bundle.js": "e6a898692f2d768e807c3ba4626068a69a2c5dd960dd6c76f3e4d3a3de180af2",
    "swagger-ui-5.35.0.css": "5ed08757e53da3e026d6cbecc61fe5d43585c9560b302d534ad56692519a273d",
}


@pytest.fixture(scope="module")
def shared(start_shared_mirror: StartMirror) -> Mirror:
    """A mirror for all tests here."""
    return start_shared_mirror()


def test_nothing_from_elsewhere(shared: Mirror) -> None:
    """All that /docs loads is ours, is there, and has its version in its name."""
    page = read(shared.get("/docs").body)
    names = loaded(page)
    assert len(names) == 5
    for name in names:
        assert name.startswith("/static/")
        assert any(character.isdigit() for character in name)
        assert shared.get(name).status == 200
    assert not [script for script in page.all("script") if script.text]


def test_policy(shared: Mirror) -> None:
    """A browser is told to load and to run nothing but our own files."""
    policy = shared.get("/docs").fields["content-security-policy"]
    directives = dict(directive.split(" ", 1) for directive in policy.split("; "))
    assert directives["default-src"] == "'none'"
    assert directives["script-src"] == directives["style-src"] == directives["connect-src"] == "'self'"
    assert "unsafe" not in policy
    assert "http" not in policy


@needs_browser
def test_in_a_browser(shared: Mirror) -> None:
    """Without any network a browser shows the operations, and what they do."""
    with started() as browser:
        page = browser.new_page()
        page.goto(f"{shared.url}/docs#/change%20the%20mirror/fetch_api_fetch_post")
        expect(page.get_by_text("/status/archives", exact=True)).to_be_visible()
        expect(page.get_by_text("Fetches what is missing").first).to_be_visible()


@pytest.mark.parametrize("path", ["/redoc", "/docs/oauth2-redirect"])
def test_no_other_docs(shared: Mirror, path: str) -> None:
    """FastAPI's own pages, which load from a CDN, are off."""
    assert shared.get(path).status in (403, 404)


def test_kept_for_ever(shared: Mirror) -> None:
    """A file of a page may be kept for ever, and is not sent twice to who has it."""
    path = next(name for name in loaded(read(shared.get("/docs").body)) if name.endswith(".bundle.js"))
    whole = shared.get(path)
    assert whole.fields["cache-control"] == "public, max-age=31536000, immutable"
    assert whole.fields["content-type"].startswith("text/javascript")
    assert whole.fields["x-content-type-options"] == "nosniff"
    again = shared.get(path, fields={"If-None-Match": whole.fields["etag"]})
    assert (again.status, again.body, again.fields["etag"]) == (304, b"", whole.fields["etag"])
    head = shared.get(path, "HEAD")
    assert (head.status, head.body, head.fields["content-length"]) == (200, b"", str(len(whole.body)))


@pytest.mark.parametrize("path", ["/static/nothing.css", "/static/page.css", "/static/models.py", "/static/"])
def test_no_such_file(shared: Mirror, path: str) -> None:
    """What is no file of a page is a 404 problem, a file's name without its version too."""
    assert shared.get(path).problem["status"] == 404


def test_favicon(shared: Mirror) -> None:
    """Browsers that look for /favicon.ico find it."""
    icon = shared.get("/favicon.ico")
    assert (icon.status, icon.fields["content-type"]) == (200, "image/svg+xml")
    assert icon.body.startswith(b"<svg ")


@pytest.mark.parametrize("name", VENDORED)
def test_vendored(name: str) -> None:
    """Swagger UI is in the package as its makers ship it, with its licence and notices beside it."""
    static = files("dataset_mirror.status") / "static"
    assert hashlib.sha256((static / name).read_bytes()).hexdigest() == VENDORED[name]
    for text in ("LICENSE", "NOTICE", "bundle.LICENSE"):
        assert (static / f"swagger-ui-5.35.0.{text}.txt").is_file()


def test_the_schema(shared: Mirror) -> None:
    """/openapi.json is valid, each of its references leads somewhere, and problems are listed as problem documents."""
    document = json.loads(shared.get("/openapi.json").body)
    validate(document)
    for reference in set(re.findall(r'"\$ref": ?"([^"]+)"', json.dumps(document))):
        place: Any = document
        for part in reference.removeprefix("#/").split("/"):
            place = place[part]
    for path, operations in document["paths"].items():
        for operation in operations.values():
            problems = {status: answer for status, answer in operation["responses"].items() if int(status) >= 400}
            assert all(list(answer["content"]) == ["application/problem+json"] for answer in problems.values()), path
            assert "422" not in problems
            assert not path.startswith("/api/") or {"400", "403", "413"} <= problems.keys()
    assert {"400", "403", "404"} <= document["paths"]["/status/archive"]["get"]["responses"].keys()
    assert "Duplicate" not in shared.log
