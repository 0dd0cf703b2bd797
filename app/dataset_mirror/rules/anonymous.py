"""What is remembered of a client's address: all of it, its network, or nothing."""

from functools import lru_cache
from ipaddress import IPv6Address, ip_address, ip_network
from typing import Literal

Anonymising = Literal["off", "network", "all"]
HIDDEN = "anonymous"
"""What stands in the place of an address of which nothing is to be remembered."""
_IPV4, _IPV6 = 24, 48
"""Bits of an address that name a network: less is one household or one lab."""


@lru_cache(maxsize=4096)
def anonymised(address: str, how: Anonymising) -> str:
    """The address as it may be told and kept; what is no address (or none: empty) stays unless nothing is to be remembered."""
    if how == "off" or not address:
        return address
    if how == "all":
        return HIDDEN
    try:
        found = ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(found, IPv6Address) and found.ipv4_mapped:
        found = found.ipv4_mapped
    return str(ip_network(f"{found}/{_IPV4 if found.version == 4 else _IPV6}", strict=False))
