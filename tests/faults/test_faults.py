"""A short run of the faults, and the judgement that it rests on."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.faults.clients import Client, whole
from tests.faults.driver import drive, planned
from tests.faults.origins import put
from tests.faults.reading import Heard, answers
from tests.faults.report import Report
from tests.faults.truth import Answer, Archive, judge, versions
from tests.faults.world import made
from tests.origin import Origin

ARCHIVE = Archive("/sets/a.bin", versions("test", 1000, 3, "strong", dated=False))
FIRST, SECOND = ARCHIVE.versions[:2]


def test_a_short_run(tmp_path: Path) -> None:
    """Among faults of all kinds every answer that ends well is right, nothing is lost, and nothing hangs."""
    report = drive(tmp_path, Report(seed=5, out=None), seconds=6, clients=24, large=False, brief=True)
    assert report.findings == []
    assert report.tried > 20, report.table()
    assert report.rows["at first"]["mended"] >= 20


def told(body: bytes, status: int = 200, **fields: str) -> str:
    """The verdict on such an answer."""
    return judge(Answer(status, {name.replace("_", "-"): value for name, value in fields.items()}, body), ARCHIVE)[0]


def test_what_is_right() -> None:
    """The bytes of any version are right, whole or in part, but only under its own validators."""
    assert told(FIRST.content) == told(SECOND.content, etag=SECOND.etag or "") == "fine"
    assert told(SECOND.content[5:10], 206, content_range=f"bytes 5-9/{len(SECOND.content)}") == "fine"
    assert told(FIRST.content, etag=SECOND.etag or "") == "wrong"
    assert told(FIRST.content, etag=f'"sha256-{SECOND.sha256}"') == "wrong"
    assert told(FIRST.content, repr_digest="sha-256=:AAAA:") == "wrong"


@pytest.mark.parametrize(
    "body",
    [FIRST.content[:-1], b"", FIRST.content[:500] + SECOND.content[500:1000], FIRST.content[:-1] + b"x"],
    ids=["short", "empty", "spliced", "flipped"],
)
def test_what_is_wrong(body: bytes) -> None:
    """Bytes that look whole and are of no version are found."""
    assert told(body) == "wrong"


def test_what_is_refused() -> None:
    """A refusal has to be a problem document that says something."""
    assert told(b'{"status": 502, "detail": "It is away.", "hint": "Wait."}', 502) == "refused"
    assert told(b"Internal Server Error", 500) == "wrong"


def test_a_reader_that_checks_nothing() -> None:
    """A body that is shorter than announced looks whole if its connection ended well, and not if it was reset."""
    data = b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n" + FIRST.content[:10]
    for how, verdict in (("end", "wrong"), ("error", "cut")):
        [answer] = answers(Heard(data, how), ["GET"])
        assert judge(answer, ARCHIVE)[0] == verdict


def test_an_origin_without_a_mirror(origin: Origin) -> None:
    """The clients find what an origin does to them that nothing stands in front of."""
    put(origin, ARCHIVE, cut_after=400)
    client = Client(origin.port, [ARCHIVE], random.Random(4))
    verdicts = {verdict for _ in range(5) for _, verdict, _ in whole(client)}
    assert verdicts == {"wrong"}


def test_a_seed_plans_the_same() -> None:
    """The same seed plans the same faults, another one others."""

    archives = made(1, large=False)

    def plans(seed: int) -> list[object]:
        found = [planned(seed, step, archives, {}, brief=False) for step in range(1, 6)]
        return [(plan.origins, plan.changed, plan.sudden, plan.around) for plan in found]

    assert plans(1) == plans(1) != plans(2)
