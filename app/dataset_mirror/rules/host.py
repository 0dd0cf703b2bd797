"""The address that a client named us by: safe to print into a page or a script, or refused."""

import re
from collections.abc import Sequence
from ipaddress import AddressValueError, IPv6Address, ip_address

from dataset_mirror.errors import BadRequest

_NAME = re.compile(r"\w(?:[\w.-]{0,251}\w)?(?::([0-9]{1,5}))?", re.ASCII)
"""With `_`, which no host's name on the internet has, and many a container's."""
_IPV6 = re.compile(r"\[([0-9A-Fa-f:.]+)\](?::([0-9]{1,5}))?")
_MAX_PORT = 65535


def own_address(public_url: str | None, scheme: str, hosts: Sequence[str]) -> str:
    """The URL, without a slash at its end, at which the client reaches us: `public_url`, else as its one Host field says.

    BadRequest for any Host that could be more than a host and a port: it ends up in commands that people copy (RFC 9110 7.2).
    """
    if public_url is not None:
        return public_url
    if len(hosts) != 1 or not is_plain_host(hosts[0]):
        raise BadRequest(
            "The address of this mirror is unknown: the request needs exactly one Host field, with a host name and no more.",
            "Use the mirror's plain address, or set `public_url` in mirror.toml.",
        )
    return f"{'https' if scheme == 'https' else 'http'}://{hosts[0]}"


def split_port(authority: str) -> tuple[str, int | None]:
    """Host, an IPv6 address in its brackets, and port, None if there is none."""
    host, colon, port = authority.rpartition(":")
    return (host, int(port)) if colon and port.isascii() and port.isdecimal() else (authority, None)


def is_address(host: str) -> bool:
    """Whether a host, without brackets and port, is an IP address as it is usually written."""
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def is_plain_host(host: str) -> bool:
    """Whether a Host field is a host name, an IPv4 address or an IPv6 address in brackets, with or without a port."""
    match = _NAME.fullmatch(host) or _IPV6.fullmatch(host)
    if match is None:
        return False
    port = match[match.re.groups]
    return (port is None or int(port) <= _MAX_PORT) and (match.re is _NAME or _is_ipv6(match[1]))


def _is_ipv6(literal: str) -> bool:
    try:
        IPv6Address(literal)
    except AddressValueError:
        return False
    return True
