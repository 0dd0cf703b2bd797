"""Conditional requests and ranges: tables of single rules, and models of all of them together."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dataset_mirror.rules.conditions import NO_VALIDATORS, Selection, Validators, date_is_strong, select

BEFORE = "Tue, 30 Apr 2024 10:00:00 GMT"
DATE = "Wed, 01 May 2024 10:00:00 GMT"
AFTER = "Thu, 02 May 2024 10:00:00 GMT"
TAG = '"abc"'
STRONG = Validators(TAG, DATE, date_is_strong=True)
WEAK = Validators('W/"abc"', DATE)
OWN_WEAK = WEAK.served_as('"sha256-ab"')
BARE = Validators("abc").served_as('"sha256-ab"')
WHOLE = Selection(200, 0, 10)


# Ranges


@pytest.mark.parametrize(
    ("field", "expected"),
    [
        pytest.param("bytes=0-3", Selection(206, 0, 4), id="first bytes"),
        pytest.param("bytes=4-", Selection(206, 4, 10), id="open end"),
        pytest.param("bytes=-3", Selection(206, 7, 10), id="suffix"),
        pytest.param("bytes=9-9", Selection(206, 9, 10), id="last byte"),
        pytest.param("bytes=0-", Selection(206, 0, 10), id="all of it is still a part"),
        pytest.param("bytes=5-99", Selection(206, 5, 10), id="end is cut to the size"),
        pytest.param("bytes=0-99999999999999999999", Selection(206, 0, 10), id="end of 20 digits is cut to the size"),
        pytest.param("bytes=-99", Selection(206, 0, 10), id="suffix longer than the archive"),
        pytest.param("bytes=-99999999999999999999", Selection(206, 0, 10), id="suffix of 20 digits"),
        pytest.param("bytes=00000000000000000000000-3", Selection(206, 0, 4), id="leading zeros"),
        pytest.param("BYTES=0-3", Selection(206, 0, 4), id="unit in capitals"),
        pytest.param(" bytes=0-3 ", Selection(206, 0, 4), id="spaces around"),
        pytest.param("bytes=10-", Selection(416), id="begins at the end"),
        pytest.param("bytes=99999999999999999999-", Selection(416), id="begins at 20 digits"),
        pytest.param("bytes=-0", Selection(416), id="empty suffix"),
        pytest.param("bytes=5-4", WHOLE, id="end before start is no range"),
        pytest.param("bytes=0-1,3-4", WHOLE, id="several ranges give the whole"),
        pytest.param("items=0-3", WHOLE, id="another unit"),
        pytest.param("bytes=-", WHOLE, id="no numbers"),
        pytest.param("bytes=a-b", WHOLE, id="letters"),
        pytest.param("bytes=٣-٤", WHOLE, id="digits that are not ASCII"),
        pytest.param("bytes=" + "9" * 5000 + "-", WHOLE, id="more digits than any number has"),
        pytest.param("", WHOLE, id="empty field"),
    ],
)
def test_range_of_ten_bytes(field: str, expected: Selection) -> None:
    """A Range field selects what RFC 9110 14.1.2 says, and is ignored if it is not understood."""
    assert select({"range": field}, NO_VALIDATORS, 10) == expected


@pytest.mark.parametrize("field", ["bytes=0-3", "bytes=-3", "bytes=99-"])
def test_range_of_unknown_size_gives_the_whole(field: str) -> None:
    """While the size is unknown any Range is ignored, and the end is unknown too."""
    assert select({"range": field}, NO_VALIDATORS, None) == Selection(200, 0, None)


positions = st.none() | st.integers(0, 40)


@settings(deadline=None)
@given(size=st.integers(0, 30), first=positions, last=positions)
def test_ranges_are_slices(size: int, first: int | None, last: int | None) -> None:
    """Any single range is the slice of the bytes that its numbers name, 416 if that slice is empty."""
    body = bytes(range(size))
    selection = select({"range": f"bytes={'' if first is None else first}-{'' if last is None else last}"}, NO_VALIDATORS, size)
    if first is None:
        part = body[-last:] if last else b""
    else:
        part = body[first:] if last is None else body[first : last + 1]
    if (first is None and last is None) or (first is not None and last is not None and last < first):
        assert selection == Selection(200, 0, size)
    elif part:
        assert (selection.status, body[selection.start : selection.end]) == (206, part)
    else:
        assert selection == Selection(416)


# Preconditions


@pytest.mark.parametrize(
    ("fields", "validators", "status"),
    [
        pytest.param({"if-none-match": TAG}, STRONG, 304, id="same tag"),
        pytest.param({"if-none-match": 'W/"abc"'}, STRONG, 304, id="weak comparison of a strong tag"),
        pytest.param({"if-none-match": TAG}, WEAK, 304, id="weak comparison with a weak tag"),
        pytest.param({"if-none-match": '"x", W/"y", "abc"'}, STRONG, 304, id="in a list"),
        pytest.param({"if-none-match": '"x,"abc",y"'}, STRONG, 200, id="inside another tag"),
        pytest.param({"if-none-match": "*"}, NO_VALIDATORS, 304, id="any"),
        pytest.param({"if-none-match": '"other"'}, STRONG, 200, id="other tag"),
        pytest.param({"if-none-match": "abc"}, STRONG, 200, id="tag without quotes"),
        pytest.param({"if-none-match": TAG}, NO_VALIDATORS, 200, id="no tag known"),
        pytest.param({"if-none-match": 'W/"abc"'}, OWN_WEAK, 304, id="the origin's own weak tag"),
        pytest.param({"if-none-match": '"x", "sha256-ab"'}, OWN_WEAK, 304, id="the tag that is sent for it"),
        pytest.param({"if-none-match": 'W/"abd"'}, OWN_WEAK, 200, id="another weak tag"),
        pytest.param({"if-none-match": "abc"}, BARE, 304, id="the origin's own tag without quotes"),
        pytest.param({"if-none-match": '"x", abc'}, BARE, 304, id="that one in a list"),
        pytest.param({"if-none-match": TAG}, BARE, 304, id="that one in quotes"),
        pytest.param({"if-none-match": "ab"}, BARE, 200, id="another one without quotes"),
        pytest.param({"if-match": "abc"}, BARE, 412, id="what is no entity tag matches nothing strongly"),
        pytest.param({"if-match": 'W/"abc"'}, OWN_WEAK, 412, id="nor does a weak one"),
        pytest.param({"if-none-match": '"other"', "if-modified-since": DATE}, STRONG, 200, id="tag goes before date"),
        pytest.param({"if-modified-since": DATE}, STRONG, 304, id="same date"),
        pytest.param({"if-modified-since": AFTER}, STRONG, 304, id="later date"),
        pytest.param({"if-modified-since": BEFORE}, STRONG, 200, id="earlier date"),
        pytest.param({"if-modified-since": "Wednesday, 01-May-24 10:00:00 GMT"}, STRONG, 304, id="date of RFC 850"),
        pytest.param({"if-modified-since": "Wed May  1 10:00:00 2024"}, STRONG, 304, id="date of asctime"),
        pytest.param({"if-modified-since": "Wed, 01 May 2024 10:00:00 -0000"}, STRONG, 304, id="date with an unknown zone"),
        pytest.param({"if-modified-since": "yesterday"}, STRONG, 200, id="not a date"),
        pytest.param({"if-modified-since": "Wed, 01 May 99999999999999999999 10:00:00 GMT"}, STRONG, 200, id="a year too far"),
        pytest.param({"if-modified-since": "Wed, 01 May 2024 10:00:00 +99999999999999999"}, STRONG, 200, id="a zone too far"),
        pytest.param({"if-modified-since": DATE}, NO_VALIDATORS, 200, id="no date known"),
        pytest.param({"if-match": TAG}, STRONG, 200, id="if-match same"),
        pytest.param({"if-match": "*"}, STRONG, 200, id="if-match any"),
        pytest.param({"if-match": '"other"'}, STRONG, 412, id="if-match other"),
        pytest.param({"if-match": 'W/"abc"'}, STRONG, 412, id="if-match compares strongly"),
        pytest.param({"if-match": 'W/"abc"'}, WEAK, 412, id="if-match never matches a weak tag"),
        pytest.param({"if-unmodified-since": BEFORE}, STRONG, 412, id="modified since"),
        pytest.param({"if-unmodified-since": DATE}, STRONG, 200, id="not modified since"),
        pytest.param({"if-match": TAG, "if-unmodified-since": BEFORE}, STRONG, 200, id="if-match goes before date"),
        pytest.param({"if-match": '"other"', "if-none-match": TAG}, STRONG, 412, id="412 goes before 304"),
    ],
)
def test_preconditions(fields: dict[str, str], validators: Validators, status: int) -> None:
    """Preconditions are decided in the order of RFC 9110 13.2.2, by the comparison that each of them asks for."""
    assert select(fields, validators, 10).status == status


@pytest.mark.parametrize(
    ("field", "validators", "status"),
    [
        pytest.param(TAG, STRONG, 206, id="same tag"),
        pytest.param(f" {TAG} ", STRONG, 206, id="spaces around"),
        pytest.param('"other"', STRONG, 200, id="other tag"),
        pytest.param('W/"abc"', STRONG, 200, id="weak tag of the client"),
        pytest.param('W/"abc"', WEAK, 200, id="weak tag on both sides"),
        pytest.param(TAG, WEAK, 200, id="weak tag of ours"),
        pytest.param(DATE, STRONG, 206, id="same strong date"),
        pytest.param(AFTER, STRONG, 200, id="later date is another date"),
        pytest.param(DATE, WEAK, 200, id="weak date"),
        pytest.param(TAG, NO_VALIDATORS, 200, id="nothing known"),
    ],
)
def test_if_range(field: str, validators: Validators, status: int) -> None:
    """If-Range lets a Range hold only if its validator is strong and exactly ours (RFC 9110 13.1.5)."""
    assert select({"range": "bytes=2-", "if-range": field}, validators, 10).status == status


def test_if_range_also_guards_an_unsatisfiable_range() -> None:
    """A range that lies behind the new end gives the whole, not 416, if the archive has changed."""
    assert select({"range": "bytes=99-", "if-range": '"old"'}, STRONG, 10) == WHOLE


def test_not_modified_goes_before_range() -> None:
    """A client that has the archive gets 304 even if it asks for a part."""
    assert select({"range": "bytes=2-", "if-none-match": TAG}, STRONG, 10) == Selection(304)


TAGS = {TAG: "same", 'W/"abc"': "weak", '"x", "y"': "other", f'"x", {TAG}': "same", "*": "any"}
DATES = {BEFORE: -1, DATE: 0, AFTER: 1, "never": None}


def _modelled(fields: dict[str, str]) -> int:
    """The status by RFC 9110 13.2.2, step by step, for the validators STRONG."""
    if "if-match" in fields and TAGS[fields["if-match"]] not in ("same", "any"):  # step 1
        return 412
    if "if-match" not in fields and "if-unmodified-since" in fields and DATES[fields["if-unmodified-since"]] == -1:  # step 2
        return 412
    if "if-none-match" in fields and TAGS[fields["if-none-match"]] != "other":  # step 3
        return 304
    if "if-none-match" not in fields and "if-modified-since" in fields and DATES[fields["if-modified-since"]] in (0, 1):  # step 4
        return 304
    if "range" in fields and fields.get("if-range", TAG) in (TAG, DATE):  # step 5
        return 206
    return 200


@settings(deadline=None, max_examples=100)
@given(
    st.fixed_dictionaries(
        {},
        optional={
            "if-match": st.sampled_from(sorted(TAGS)),
            "if-none-match": st.sampled_from(sorted(TAGS)),
            "if-unmodified-since": st.sampled_from(sorted(DATES)),
            "if-modified-since": st.sampled_from(sorted(DATES)),
            "if-range": st.sampled_from([TAG, 'W/"abc"', '"x"', DATE, AFTER]),
            "range": st.just("bytes=2-4"),
        },
    )
)
def test_all_conditions_together_follow_the_order_of_the_rfc(fields: dict[str, str]) -> None:
    """Any mix of conditions gives the status of the first step of RFC 9110 13.2.2 that decides."""
    assert select(fields, STRONG, 10).status == _modelled(fields)


@settings(deadline=None)
@given(
    st.dictionaries(
        st.sampled_from(["range", "if-range", "if-match", "if-none-match", "if-modified-since", "if-unmodified-since"]),
        st.text() | st.from_regex(r"(bytes=|W/)?[-0-9\"a-z, ]*") | st.from_regex(r"[A-Z][a-z]{2}, \d+ May \d+ \d+:\d+:\d+ (GMT|[+-]\d+)?"),
    ),
    st.none() | st.integers(0, 100),
)
def test_no_field_of_a_client_breaks_a_selection(fields: dict[str, str], size: int | None) -> None:
    """Whatever clients send, the answer is one of five statuses, and a part lies inside the archive."""
    selection = select(fields, STRONG, size)
    assert selection.status in (200, 206, 304, 412, 416)
    if selection.status == 206:
        assert size is not None
        assert selection.end is not None
        assert 0 <= selection.start < selection.end <= size


# Validators


@pytest.mark.parametrize(
    ("modified", "sent", "strong"),
    [
        pytest.param(BEFORE, DATE, True, id="a day before"),
        pytest.param("Wed, 01 May 2024 09:59:00 GMT", DATE, True, id="60 seconds before"),
        pytest.param("Wed, 01 May 2024 09:59:01 GMT", DATE, False, id="59 seconds before"),
        pytest.param("Tue Apr 30 10:00:00 2024", DATE, True, id="in the form of asctime"),
        pytest.param(AFTER, DATE, False, id="after"),
        pytest.param(None, DATE, False, id="no Last-Modified"),
        pytest.param(BEFORE, None, False, id="no Date"),
        pytest.param("lately", DATE, False, id="not a date"),
    ],
)
def test_date_is_strong(modified: str | None, sent: str | None, strong: bool) -> None:
    """Last-Modified is a strong validator if it is clearly older than the answer (RFC 9110 8.8.2.2)."""
    assert date_is_strong(modified, sent) is strong


@pytest.mark.parametrize(
    ("validators", "strong"),
    [
        pytest.param(STRONG, TAG, id="the tag"),
        pytest.param(Validators('W/"abc"', DATE, True), DATE, id="the date beside a weak tag"),
        pytest.param(WEAK, None, id="neither"),
        pytest.param(NO_VALIDATORS, None, id="nothing"),
    ],
)
def test_strong_validator(validators: Validators, strong: str | None) -> None:
    """What may stand in If-Range: a strong tag, else a strong date, else nothing."""
    assert validators.strong == strong
