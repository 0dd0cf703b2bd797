"""The mark of a certificate in a proxy's URL."""

import base64

import pytest

from dataset_mirror.doors import certificates
from dataset_mirror.doors.certificates import fingerprint, issue_authority, new_key
from dataset_mirror.rules.marks import mark_in, mark_of, marked, unmarked

MARK = "0123456789abcdef"


def test_it_is_the_beginning_of_the_fingerprint() -> None:
    """The mark is what people see of the certificate's SHA-256."""
    authority = issue_authority(new_key(), ["a.example.org"])
    assert fingerprint(authority).replace(":", "").lower().startswith(mark_of(certificates.to_pem(authority)))


@pytest.mark.parametrize("address", ["http://mirror.lab:8080", "https://mirror.lab", "http://[::1]:8080"])
def test_there_and_back(address: str) -> None:
    """An address with a mark is the address and the mark again."""
    assert unmarked(marked(address, MARK)) == (address, MARK)
    assert unmarked(marked(address, None)) == (address, None)


@pytest.mark.parametrize("address", ["http://user:secret@mirror.lab", "http://ca@mirror.lab", "http://ca:xyz@mirror.lab", "http://[::1"])
def test_what_is_no_mark(address: str) -> None:
    """Other credentials stay where they are."""
    assert unmarked(address) == (address, None)


@pytest.mark.parametrize(
    ("said", "mark"),
    [
        ("Basic " + base64.b64encode(f"ca:{MARK}".encode()).decode(), MARK),
        ("basic  " + base64.b64encode(f"ca:{MARK}".encode()).decode(), MARK),
        ("Basic " + base64.b64encode(b"user:secret").decode(), None),
        ("Basic " + base64.b64encode(b"ca:short").decode(), None),
        ("Basic " + base64.b64encode("ca:é".encode()).decode(), None),
        ("Basic !!!", None),
        ("Bearer x", None),
        ("", None),
        (None, None),
    ],
)
def test_what_a_client_says(said: str | None, mark: str | None) -> None:
    """Only well-formed Basic credentials of ours are a mark; anything else counts as none."""
    assert mark_in(said) == mark
