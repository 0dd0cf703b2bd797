"""Networks of clients, as settings write them."""

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network
from typing import Annotated

from pydantic import BeforeValidator

from dataset_mirror.origins.lists import as_list

Address = IPv4Address | IPv6Address


def _network(value: object) -> object:
    if isinstance(value, IPv4Network | IPv6Network):
        return value
    try:
        return ip_network(value, strict=False) if isinstance(value, str) else _refuse()
    except ValueError:
        return _refuse()


def _refuse() -> object:
    raise ValueError('an address or a network is written as "10.1.2.3", "10.1.0.0/16" or "fd00::/8"') from None


Network = Annotated[IPv4Network | IPv6Network, BeforeValidator(_network)]
Networks = Annotated[tuple[Network, ...], BeforeValidator(as_list)]
"""Networks; a single address is one, and one may stand without its list."""

LOOPBACK: tuple[IPv4Network | IPv6Network, ...] = (IPv4Network("127.0.0.0/8"), IPv6Network("::1/128"))


def is_on(address: Address, networks: tuple[IPv4Network | IPv6Network, ...]) -> bool:
    """Whether the address is on one of the networks."""
    return any(address in network for network in networks)
