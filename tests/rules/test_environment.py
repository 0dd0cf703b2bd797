"""The address at which a mirror is a proxy."""

import pytest

from dataset_mirror.errors import BadRequest
from dataset_mirror.rules.environment import proxy_address


@pytest.mark.parametrize(
    "address", ["http://[", "http://[::1", "ftp://mirror.lab", "mirror.lab:8080", "http://me@mirror.lab", "http://a/b"]
)
def test_no_address_of_a_proxy(address: str) -> None:
    """What is not scheme, host and port is refused in a sentence."""
    with pytest.raises(BadRequest):
        proxy_address(address)


@pytest.mark.parametrize("address", ["http://mirror.lab:8080", "https://[::1]:8080/"])
def test_an_address_of_a_proxy(address: str) -> None:
    """Scheme, host and port are one, with a slash behind them or without."""
    assert proxy_address(address) == address.rstrip("/")
