"""A record and its line."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dataset_mirror.origins.identity import ArchiveId, check_query, normalise_path
from dataset_mirror.rules.conditions import Validators
from dataset_mirror.store.record import Record, digest_etag
from tests.store import record

printable = st.characters(min_codepoint=0x21, max_codepoint=0x7E)
paths = st.text(printable.filter(lambda c: c not in "%\\."), max_size=20).map(lambda text: normalise_path(f"/a{text}".encode()))
queries = st.text(printable.filter(lambda c: c != "#"), max_size=10).map(lambda text: check_query(text.encode()))
text = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
digests = st.text("0123456789abcdef", min_size=64, max_size=64)
times = st.floats(0, 1e11)
records = st.builds(
    Record,
    archive=st.builds(ArchiveId, st.sampled_from(["data.example.org", "a.org:8443", "[::1]:9000"]), paths, queries),
    sha256=digests,
    size=st.integers(0, 2**63 - 1),
    fetched=times,
    scheme=st.sampled_from(["http", "https"]),
    md5=st.none() | st.text("0123456789abcdef", min_size=32, max_size=32),
    validators=st.builds(Validators, st.none() | text, st.none() | text, st.booleans()),
    fields=st.lists(st.tuples(text, text), max_size=4).map(tuple),
    source=st.sampled_from(["catalog", "computed"]),
    checked=times,
)


@settings(deadline=None)
@given(records)
def test_a_line_gives_the_record_back(original: Record) -> None:
    """A record is the same after a way through a line, and a line has no line end."""
    line = original.to_line()
    assert Record.from_line(line) == original
    assert "\n" not in line


def test_a_line_says_only_what_is_known() -> None:
    """A line is a JSON object that people can read; what is not known is left out."""
    assert json.loads(record(b"", checked=5.0).to_line()) == {
        "url": "https://data.example.org/sets/a.zip",
        "sha256": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "size": 0,
        "fields": [],
        "source": "computed",
        "fetched": 1000.0,
        "checked": 5.0,
    }


def test_a_line_of_a_later_version_is_read() -> None:
    """Keys that this version does not know are passed over."""
    line = json.dumps({**json.loads(record().to_line()), "colour": "blue"})
    assert Record.from_line(line) == record()


KNOWN = json.loads(record().to_line())


@pytest.mark.parametrize(
    "line",
    [
        pytest.param("", id="empty"),
        pytest.param("{", id="half"),
        pytest.param("[]", id="a list"),
        pytest.param("5", id="a number"),
        *(
            pytest.param(json.dumps({k: v for k, v in KNOWN.items() if k != key}), id=f"no {key}")
            for key in ("url", "sha256", "size", "fetched")
        ),
        *(
            pytest.param(json.dumps({**KNOWN, key: value}), id=f"{key} is {value!r}")
            for key, value in [
                ("url", 5),
                ("url", []),
                ("url", None),
                ("url", "ftp://a.org/b"),
                ("url", "https://a.org/../b"),
                ("url", "https://[::1/b"),
                ("url", "a.org/b"),
                ("url", "HTTPS://a.org/b"),
                ("sha256", None),
                ("sha256", "../../secret"),
                ("sha256", "AB" * 32),
                ("sha256", "ab" * 31),
                ("size", -1),
                ("size", "1"),
                ("size", 1.5),
                ("size", True),
                ("fields", 5),
                ("fields", [["a"]]),
                ("fields", [["a", 5]]),
                ("md5", "../secret"),
                ("etag", 5),
                ("last_modified", []),
                ("date_is_strong", 1),
                ("source", "hearsay"),
                ("fetched", "now"),
                ("fetched", True),
                ("fetched", -1.0),
                ("fetched", float("nan")),
                ("fetched", 1e300),
                ("fetched", 10**400),
                ("checked", None),
                ("private", "no"),
                ("size", 2**63),
            ]
        ),
    ],
)
def test_what_is_no_record_is_a_value_error(line: str) -> None:
    """A line that is damaged, or that names what cannot be an archive, is a ValueError and nothing else."""
    with pytest.raises(ValueError):  # noqa: PT011  # which words, is for the log only
        Record.from_line(line)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*KNOWN, "x"]), inner, max_size=4),
)


@settings(deadline=None, max_examples=80)
@given(st.dictionaries(st.sampled_from(sorted(KNOWN)), json_values) | json_values)
def test_no_line_breaks_a_reader(changes: object) -> None:
    """Any JSON at all is either a record or a ValueError."""
    known = {**KNOWN, **changes} if isinstance(changes, dict) else changes
    try:
        read = Record.from_line(json.dumps(known))
    except ValueError:
        return
    assert len(read.sha256) == 64
    assert read.size >= 0


same_bytes = st.builds(
    record,
    fetched=st.sampled_from([1.0, 2.0]),
    checked=st.sampled_from([0.0, 3.0, 4.0]),
    validators=st.sampled_from([Validators(), Validators('"a"'), Validators('"b"', "Wed, 01 May 2024 10:00:00 GMT", True)]),
    fields=st.sampled_from([(), (("content-type", "application/zip"),)]),
    source=st.sampled_from(["catalog", "computed"]),
    private=st.booleans(),
)


@settings(deadline=None)
@given(same_bytes, same_bytes, same_bytes)
def test_what_is_known_twice_is_united_in_any_order(a: Record, b: Record, c: Record) -> None:
    """Order, grouping and repetition of what is known of the same bytes do not matter."""
    assert a.united(b) == b.united(a)
    assert a.united(b).united(c) == a.united(b.united(c))
    assert a.united(a) == a
    assert a.united(b).united(b) == a.united(b)


@pytest.mark.parametrize(
    ("etag", "served"),
    [
        pytest.param('"v1"', '"v1"', id="the origin's strong one"),
        pytest.param('W/"v1"', digest_etag(record().sha256), id="a weak one"),
        pytest.param(None, digest_etag(record().sha256), id="none"),
    ],
)
def test_the_one_entity_tag(etag: str | None, served: str) -> None:
    """Clients see the origin's strong tag, else one that is made of the digest; the date stays as it is."""
    known = record(validators=Validators(etag, "Wed, 01 May 2024 10:00:00 GMT", True))
    assert known.etag == served
    assert known.as_served() == Validators(served, "Wed, 01 May 2024 10:00:00 GMT", True)
