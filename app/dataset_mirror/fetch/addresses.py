"""Which addresses may be asked: those of the public internet, unless the operator says otherwise."""

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address

from dataset_mirror.errors import NotAllowed

_UNICAST = IPv6Network("2000::/3")
"""All that is public of IPv6 (RFC 4291 2.4). Python calls NAT64, IPv4-compatible, translated and site-local addresses global, too."""
_TRANSLATED = IPv6Network("2002::/16")
"""6to4, inside of it, leads to IPv4 addresses of anybody's choice."""


def is_global(address: str) -> bool:
    """Whether an IP address is one of the public internet, after unwrapping IPv4-mapped ones."""
    parsed: IPv4Address | IPv6Address = ip_address(address.partition("%")[0])
    if isinstance(parsed, IPv6Address) and parsed.ipv4_mapped:
        parsed = parsed.ipv4_mapped
    if isinstance(parsed, IPv6Address) and (parsed not in _UNICAST or parsed in _TRANSLATED):
        return False
    return parsed.is_global and not parsed.is_multicast


def check_global(host: str, addresses: Iterable[str]) -> None:
    """NotAllowed if any of an origin's addresses is not global."""
    refused = [address for address in addresses if not is_global(address)]
    if refused:
        raise NotAllowed(
            f"{host} resolves to {refused[0]}, which is not an address of the public internet.",
            f'If that is right, write allow_private = true into the [[origins]] block of "{host}" in mirror.toml.',
        )
