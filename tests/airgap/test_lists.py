"""Lists of archives, as people edit them."""

import pytest

from dataset_mirror.airgap.lists import decoded, entries


def test_entries() -> None:
    """Blank lines and comments are left out, behind an entry too; an entry that comes twice is one."""
    text = "# for the cluster\n\nhttps://a.org/x  # 3 times\n  keras/mnist\t# once\r\nhttps://a.org/x\nhttps://a.org/y#z\n#end"
    assert entries(text) == ["https://a.org/x", "keras/mnist", "https://a.org/y#z"]


def test_nothing() -> None:
    """A list may be empty."""
    assert entries("# nothing is wanted\n") == []


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_encodings(encoding: str) -> None:
    """A list may begin with a byte order mark, and be in UTF-16, as a shell of Windows writes it."""
    assert entries(decoded("keras/mnist\r\nkeras/cifar10\r\n".encode(encoding))) == ["keras/mnist", "keras/cifar10"]
