"""Files of an origin that asks back by a page, imitated after Google Drive: the file is kept, and no page ever is."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.imitations.gdrive import CONTENT, DOCS, DRIVE, Drive, Shared
from tests.imitations.server import Said
from tests.imitations.web import Web
from tests.serving import Mirror

BYTES = b"PK" + bytes(range(256)) * 800


@pytest.fixture(scope="module")
def drive() -> Drive:
    return Drive(
        {
            "small": Shared("a.zip", BYTES + b"small"),
            "large": Shared("b.zip", BYTES + b"large", asks_back=True),
            "older": Shared("c.zip", BYTES + b"older", asks_back="older"),
            "busy": Shared("d.zip", b"", is_busy=True),
            "mine": Shared("e.zip", b"", is_private=True),
            "page": Shared("f.html", b"<!doctype html><title>a file</title>", asks_back=True),
        }
    )


@pytest.fixture(scope="module")
def web(drive: Drive) -> Iterator[Web]:
    with Web(drive.sites) as running:
        yield running


@pytest.fixture(scope="module")
def mirror(web: Web, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mirror]:
    with Mirror(tmp_path_factory.mktemp("drive") / "data", presets=["gdrive"], upstreams=web.upstreams, grace=1) as running:
        yield running


@pytest.mark.parametrize(
    "url",
    [
        f"{DRIVE}/uc?id=large",
        f"{DRIVE}/uc?export=download&id=large",
        f"{DRIVE}/u/0/uc?id=large&export=download",
        f"{DOCS}/uc?export=download&id=large",
        f"{CONTENT}/download?id=large",
        f"{CONTENT}/download?id=large&export=download&authuser=0&confirm=t&uuid=1",
        f"{DRIVE}/uc?id=small",
        f"{DRIVE}/uc?id=older",
    ],
)
def test_the_file_comes(url: str, mirror: Mirror, web: Web, drive: Drive) -> None:
    """Whether or not the origin asks back, and however: the file comes, with its name; the second time from here."""
    file = drive.files[parse_qs(urlsplit(url).query)["id"][0]]
    for _ in range(2):
        answer = mirror.get(f"/{url}")
        assert (answer.status, answer.body) == (200, file.content)
        assert f'filename="{file.name}"' in answer.fields["content-disposition"]
        web.forget()
    assert web.asked == []
    assert "hit" in mirror.get(f"/{url}").fields["cache-status"]


def test_words_of_one_question(mirror: Mirror, web: Web) -> None:
    """What is new in each question, such as `uuid` and `confirm`, is not identity; HEAD has the file's own fields."""
    mirror.get(f"/{CONTENT}/download?id=small&export=download")
    web.forget()
    answer = mirror.get(f"/{CONTENT}/download?id=small&export=download&confirm=t&uuid=2")
    assert (answer.status, web.asked) == (200, [])
    assert mirror.get(f"/{DRIVE}/uc?id=page", "HEAD").fields["content-disposition"].startswith("attachment")


def test_a_part(mirror: Mirror) -> None:
    """A range of what is not there yet, with the page before it, is the file's."""
    answer = mirror.get(f"/{DRIVE}/uc?id=large&resourcekey=1", fields={"Range": "bytes=0-1"})
    assert (answer.status, answer.body) == (206, b"PK")


@pytest.mark.parametrize(
    ("number", "status", "said"),
    [
        ("busy", 503, "Too many users have viewed or downloaded this file recently"),
        ("mine", 403, "wants a sign-in"),
        ("none", 404, "404"),
    ],
)
def test_refusals(number: str, status: int, said: str, mirror: Mirror) -> None:
    """A page that says no is a refusal with its reason, and is not kept."""
    before = mirror.blobs
    for _ in range(2):
        answer = mirror.get(f"/{DRIVE}/uc?id={number}")
        assert answer.status == status
        assert said in answer.problem["detail"]
        assert answer.problem["hint"]
    assert mirror.blobs == before


@pytest.mark.parametrize(
    "said",
    [
        Said(200, {"Content-Type": "text/html"}, b"<html><title>Odd</title><![odd[ ]]></html>"),
        Said(200, {"Content-Type": "text/html"}, b"<form id='download-form' action='http://[odd'></form>"),
        Said(302, {"Location": "http://[odd"}),
    ],
    ids=["a page that is none", "a form to nowhere", "a redirect to nowhere"],
)
def test_what_makes_no_sense(said: Said, tmp_path: Path) -> None:
    """An origin that says something odd in the place of a file is refused as others are."""
    with (
        Web({CONTENT: lambda _: said}) as web,
        Mirror(tmp_path / "data", presets=["gdrive"], upstreams=web.upstreams, grace=1) as mirror,
    ):
        for method in ("HEAD", "GET"):
            assert mirror.get(f"/{CONTENT}/download?id=x&export=download", method).status == 502
        assert "bug" not in mirror.get(f"/{CONTENT}/download?id=x&export=download").problem["hint"]


@pytest.mark.parametrize("form", [f"<form id='download-form' action='https://{CONTENT}/download'></form>", ""], ids=["again", "never"])
def test_pages_that_lead_nowhere(form: str, tmp_path: Path) -> None:
    """An origin that asks back again and again, or sends any other page, is refused with the title of that page."""
    page = f"<html><head><title>Ask\n again</title></head>{form}</html>".encode()
    sites = {CONTENT: lambda _: Said(200, {"Content-Type": "text/html"}, page)}
    with Web(sites) as web, Mirror(tmp_path / "data", presets=["gdrive"], upstreams=web.upstreams, grace=1) as mirror:
        answer = mirror.get(f"/{CONTENT}/download?id=x&export=download")
        assert answer.status == 502
        assert "“Ask again”" in answer.problem["detail"]
        assert mirror.blobs == []
        assert len(web.asked) <= 2
