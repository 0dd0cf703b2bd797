"""What an index of packages says of a file."""

import json

import pytest

from dataset_mirror.rules.package_index import digest_in_index

PAGE, FILE = "https://pypi.org/simple/a/", "https://files.example.org/a-1-py3-none-any.whl"
DIGEST = "ab" * 32


@pytest.mark.parametrize(
    "page",
    [
        pytest.param(f'<a href="{FILE}#sha256={DIGEST}">a</a>', id="HTML"),
        pytest.param(json.dumps({"files": [{"url": FILE, "hashes": {"sha256": DIGEST.upper()}}]}), id="JSON"),
        pytest.param(f'<a href="http://[/a-1-py3-none-any.whl">a</a><a href="{FILE}#sha256={DIGEST}">a</a>', id="behind what is no URL"),
        pytest.param(
            json.dumps({"files": [5, {"url": "http://["}, {"url": FILE, "hashes": {"sha256": DIGEST}}]}), id="behind what is no URL, JSON"
        ),
    ],
)
def test_a_digest(page: str) -> None:
    """The digest is found in either form, and nothing that stands before it hides it."""
    assert digest_in_index(page.encode(), PAGE, FILE) == DIGEST


@pytest.mark.parametrize("page", ["", "{", "[]", '{"files": 5}', f'<a href="{FILE}">', f'<a href="{FILE}#sha256=ab">', "\x00<a href="])
def test_no_digest(page: str) -> None:
    """Pages that do not have it, and what is no page, say nothing."""
    assert digest_in_index(page.encode(), PAGE, FILE) is None
