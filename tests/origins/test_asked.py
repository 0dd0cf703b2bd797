"""What of a request is an archive's identity."""

import pytest

from dataset_mirror.origins.asked import asked
from dataset_mirror.origins.identity import ArchiveId
from dataset_mirror.origins.model import Origin
from dataset_mirror.origins.rules import Rule

JSON, FORM = "application/json", "application/x-www-form-urlencoded"
ORIGIN = Origin(
    url="https://hub.example.org",
    paths=("/",),
    rules=(Rule(match=("/ask",), post=True), Rule(match=("/set",), post=("owner", "name"))),
)
ASK, SET = ArchiveId("hub.example.org", "/ask"), ArchiveId("hub.example.org", "/set")


def archive(body: bytes, kind: str) -> ArchiveId:
    return asked(ORIGIN, ASK, "", body, kind).archive


@pytest.mark.parametrize(("body", "kind"), [(b'{"paths":["a"]}', JSON), (b"paths=a", FORM)])
def test_a_question_is_its_bytes_and_what_they_are_sent_as(body: bytes, kind: str) -> None:
    """The same bytes under another media type are another question: its answer never stands in for that of the first."""
    assert archive(body, kind) == archive(body, f"{kind.upper()}; charset=utf-8")
    others = [archive(body, other) for other in (JSON, FORM, "text/plain", "")]
    assert len({archive(body, kind), *others}) == 4
    assert archive(body, kind) != archive(body + b" ", kind)


@pytest.mark.parametrize("value", [r'"\ud800"', "1.5", "null", "[]", "9" * 5000])
def test_a_question_that_the_rule_is_not_for(value: str) -> None:
    """A field that is no text and no whole number, or a text that nothing can be called, makes a question that is passed on."""
    what = asked(ORIGIN, SET, "", f'{{"owner": {value}}}'.encode(), JSON)
    assert not what.is_kept


def test_a_question_in_another_spelling() -> None:
    """The fields of a question have one spelling, which is what the origin is asked with."""
    first, second = (asked(ORIGIN, SET, "", body, JSON) for body in (b'{"owner":"a","name":"b"}', b' {"name": "b", "owner": "\\u0061"}'))
    assert first.archive == second.archive
    assert first.question.body == second.question.body == b'{"name":"b","owner":"a"}'
