"""The end of the log, as everybody may see it: what went wrong of late, with words to find it by, and no secret."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest

from dataset_mirror.fetch.tail import MOST_CHARACTERS, MOST_LINES, Tail
from tests.conftest import StartMirror
from tests.origin import Origin, body
from tests.serving import HOST, URL, Mirror
from tests.status.html import read
from tests.status.streams import Viewer

SECRET, TOKEN = "s3cr3tS3cr3t0123456789", "a-long-t0ken-of-this-mirror"


@pytest.fixture(scope="module")
def shared(start_shared_mirror: StartMirror, shared_origin: Origin) -> Mirror:
    """A mirror that shows errors only in its own log, of which it had two warnings: a refused and a signed download."""
    mirror = start_shared_mirror(token=TOKEN).restart("--log-level", "error")
    shared_origin.add("/sets/no.bin", body(1000), status=403)
    shared_origin.add(f"/sets/signed.bin?sig={SECRET}", body(1000), status=403)
    assert mirror.archive("/sets/no.bin", x_request_id="mine").status == 403
    assert mirror.archive(f"/sets/signed.bin?sig={SECRET}&name={TOKEN}").status in (403, 404)
    return mirror


def told(mirror: Mirror, question: str = "") -> list[Any]:
    answer = mirror.get(f"/status/log{question}")
    assert answer.status == 200, answer.body
    found: list[Any] = json.loads(answer.body)
    return found


def test_what_was_logged(shared: Mirror) -> None:
    """A warning has its time, level, part and words, and the id of the request that it is about, whatever the log itself shows."""
    (line,) = told(shared, "?q=NO.bin")
    assert (line["level"], line["room"], line["request_id"], line["error"]) == ("warning", "fetch", "mine", "")
    assert f"{URL}/sets/no.bin" in line["message"]
    assert line["at"].endswith("+00:00")
    assert "WARNING" not in shared.log


@pytest.mark.parametrize(
    ("question", "number"), [("", 2), ("?q=mine", 1), ("?q=fetch+403+no.bin", 1), ("?q=nowhere", 0), ("?level=error", 0), ("?limit=1", 1)]
)
def test_it_is_filtered(shared: Mirror, question: str, number: int) -> None:
    """By level, and by words that must all be there; the last lines come first."""
    found = told(shared, question)
    assert len(found) == number
    assert [line["at"] for line in found] == sorted((line["at"] for line in found), reverse=True)


def test_a_question_that_is_none(shared: Mirror) -> None:
    """A level or a limit that there is not is a 400 that names it."""
    for question in ("level=loud", "limit=0", f"limit={MOST_LINES + 1}"):
        assert question.partition("=")[0] in shared.get(f"/status/log?{question}").problem["detail"]


def test_on_the_page(shared: Mirror) -> None:
    """/activity shows the same, filtered by a form beside that of the requests; neither forgets what the other one asks for."""
    found = read(shared.get("/activity?words=no.bin&q=signed&outcome=failed").body)
    (log,) = [table for table in found.all("table") if "log" in (table.attributes.get("class") or "").split()]
    (row,) = log.one("tbody").all("tr")
    assert "/sets/no.bin" in row.text
    assert "mine" in row.text
    kept = [{one.attributes["name"]: one.attributes["value"] for one in form.all("input")} for form in found.all("form")]
    assert all(fields["words"] == "no.bin" and fields["q"] == "signed" for fields in kept)
    assert "No line fits" in read(shared.get("/activity?level=error").body).text


def test_no_secret(shared: Mirror) -> None:
    """Neither a signature of a URL nor a configured token is in it."""
    lines = shared.get("/status/log?q=signed.bin").body.decode()
    assert "signed.bin" in lines
    assert TOKEN not in lines
    assert SECRET not in lines + shared.get("/activity").body.decode()


def test_it_is_live(start_mirror: StartMirror) -> None:
    """Who looks is told of a new line at once, and how many there were."""
    mirror = start_mirror(token=TOKEN).restart("--log-level", "error")
    mirror.archive("/sets/no.bin")
    with Viewer(mirror) as viewer:
        before = viewer.until("log")["number"]
        mirror.archive("/sets/none.bin")
        event = viewer.until("log", number=before + 1)
    assert f"{HOST}/sets/none.bin" in event["last"]["message"]


@pytest.fixture
def tail() -> Tail:
    """One that is not attached to anything."""
    return Tail(lambda: {TOKEN})


def test_it_is_bounded(tail: Tail) -> None:
    """Only the latest lines are remembered, and of a long one its beginning; what is less than a warning is not."""
    log = logging.Logger("dataset_mirror.store.index")
    log.addHandler(tail)
    for number in range(MOST_LINES + 5):
        log.warning("Line %d", number)
    log.info("Nobody needs this.")
    log.error("%s", "x" * 1_000_000)
    lines = sorted(tail.lines(), key=lambda line: line.at)
    assert (len(lines), tail.number) == (MOST_LINES, MOST_LINES + 6)
    assert (lines[0].message, lines[0].room) == ("Line 6", "store")
    assert len(lines[-1].message) == MOST_CHARACTERS


def test_what_a_line_says(tail: Tail, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of an exception its kind and words, of a client its network; a message that does not fit its arguments harms nobody."""
    monkeypatch.setattr(logging, "raiseExceptions", False)
    log = logging.Logger("uvicorn.error")
    log.addHandler(tail)
    log.warning("Two of %s")
    log.warning("%d of them", "many")
    log.warning("%s was refused.", "192.0.2.77", extra={"client": "192.0.2.77"})
    try:
        raise OSError(28, f"No space for {TOKEN}")
    except OSError:
        log.exception("It failed.", extra={"request": "theirs"})
    failed, refused, *_ = tail.lines()
    assert (failed.room, failed.error, failed.request) == ("uvicorn", "OSError: [Errno 28] No space for …", "theirs")
    assert refused.message == "192.0.2.0/24 was refused."
