"""The journal: lines that are durable one by one, whatever the power cut left of the last."""

import json
from pathlib import Path

import pytest

from dataset_mirror.store.journal import Journal
from tests.store import archive, record

FIRST, SECOND = record(b"1"), record(b"2", archive("/sets/b.zip"))


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(tmp_path / "archives.ndjson")


def lines(journal: Journal) -> list[str]:
    return journal.path.read_text(encoding="utf-8").splitlines()


def test_each_publication_is_a_line(journal: Journal) -> None:
    """Lines are appended in order, each a JSON object of its own; the last one is the latest."""
    journal.append(FIRST)
    journal.append(SECOND)
    assert [json.loads(line)["url"] for line in lines(journal)] == [FIRST.url, SECOND.url]
    assert journal.last() == SECOND


def test_the_first_line_is_durable(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the first line the file's name is on the disk, too; later ones need no more than the file."""
    synced: list[Path] = []
    monkeypatch.setattr("dataset_mirror.store.durable.sync_folder", synced.append)
    journal.append(record(b"a"))
    journal.append(record(b"b"))
    assert synced == [journal.path.parent]


def test_a_journal_that_is_not_there_is_empty(journal: Journal) -> None:
    """Without a file there is no last record, and asking does not make one."""
    assert journal.last() is None
    assert not journal.path.exists()


def test_an_empty_journal_has_no_last_record(journal: Journal) -> None:
    """An empty file is as good as none, and can be appended to."""
    journal.path.touch()
    assert journal.last() is None
    journal.append(FIRST)
    assert journal.last() == FIRST


@pytest.mark.parametrize("cut", [1, 2, 20, -2, -1])
def test_a_torn_line_is_passed_over(journal: Journal, cut: int) -> None:
    """Wherever the power cut a line short, the whole line before it is the last one."""
    journal.append(FIRST)
    whole = journal.path.read_bytes()
    journal.path.write_bytes(whole + f"{SECOND.to_line()}\n".encode()[:cut])
    assert journal.last() == FIRST


def test_a_line_after_a_torn_one_is_whole(journal: Journal) -> None:
    """What is appended after a torn line begins a line of its own, and the torn one stays beside it."""
    journal.append(FIRST)
    with journal.path.open("ab") as file:
        file.write(SECOND.to_line().encode()[:30])
    journal.append(SECOND)
    assert journal.last() == SECOND
    assert lines(journal) == [FIRST.to_line(), SECOND.to_line()[:30], SECOND.to_line()]


@pytest.mark.parametrize(
    "rubbish",
    [
        pytest.param(b"\n\n\n", id="empty lines"),
        pytest.param(bytes(4096), id="a page of zeros"),
        pytest.param(b"\xff\xfe\n", id="not text"),
        pytest.param(b"[]\n5\nnull\n", id="not objects"),
        pytest.param(b"{}\n", id="an empty object"),
        pytest.param(FIRST.to_line().replace("https://", "ftp://").encode() + b"\n", id="not an archive"),
        pytest.param(FIRST.to_line().replace("https://", "https://[").encode() + b"\n", id="not a URL"),
        pytest.param(b"\n" + FIRST.to_line().encode()[20:] + b"\n", id="half a line"),
    ],
)
def test_rubbish_at_the_end_is_passed_over(journal: Journal, rubbish: bytes) -> None:
    """Lines that are no records do not hide the record before them, and do not stop the next."""
    journal.append(SECOND)
    with journal.path.open("ab") as file:
        file.write(rubbish)
    assert journal.last() == SECOND
    journal.append(FIRST)
    assert journal.last() == FIRST


def test_the_last_line_of_a_long_journal_is_found(journal: Journal) -> None:
    """Only the end of the file is read: a journal that begins with anything at all has a last record."""
    journal.path.write_bytes(b"x" * 1_000_000 + b"\n")
    journal.append(FIRST)
    assert journal.last() == FIRST


def test_fields_with_line_ends_stay_one_line(journal: Journal) -> None:
    """No value can break a line: JSON escapes what would."""
    odd = record(fields=(("x-note", "a\nb\u2028c\x85d"),))
    journal.append(odd)
    assert journal.path.read_bytes().count(b"\n") == 1
    assert journal.last() == odd
