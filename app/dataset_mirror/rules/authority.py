"""One form for every way of writing a host, so that a trailing dot, capitals or a default port never make another one of it."""

import re
from ipaddress import AddressValueError, IPv6Address
from urllib.parse import unquote

import idna

from dataset_mirror.errors import BadRequest

DEFAULT_PORTS = {"http": 80, "https": 443}
_NAME = re.compile(r"[a-z0-9](?:[a-z0-9._-]{0,251}[a-z0-9])?", re.ASCII)
_PORT = re.compile(r"(?P<host>.*?)(?::(?P<port>[0-9]{0,9}))?", re.ASCII | re.DOTALL)
_MAX_PORT = 65535


def normal_host(host: str) -> str:
    """The host in lower case and ASCII, without a trailing dot; IPv6 in brackets and in its short form. BadRequest if it is none.

    Names beyond ASCII become A-labels (UTS 46, as browsers and curl do), also where they stand percent-encoded (RFC 3986 3.2.2).
    """
    if host.startswith("["):
        return _normal_ipv6(host)
    name = _in_ascii(_decoded(host), host).removesuffix(".")
    if not _NAME.fullmatch(name) or ".." in name:
        raise _no_host(host)
    return name


def normal_authority(authority: str, *schemes: str) -> str:
    """Host and port; the port only where it is not the own one of any of these schemes (RFC 3986 6.2.3). BadRequest if it is none."""
    if "@" in authority:
        raise BadRequest("The URL carries a user name or password.", "Leave them out; set `headers` of the origin instead.")
    match = _PORT.fullmatch(authority)
    assert match
    host, port = normal_host(match["host"]), int(match["port"] or 0)
    if match["port"] and not 0 < port <= _MAX_PORT:
        raise BadRequest(f"{authority[:80]!r} has a port that does not exist.", "A port is a number from 1 to 65535.")
    return host if not match["port"] or port in (DEFAULT_PORTS[scheme] for scheme in schemes) else f"{host}:{port}"


def _decoded(host: str) -> str:
    if "%" not in host:
        return host
    try:
        return unquote(host, errors="strict")
    except UnicodeDecodeError:
        raise _no_host(host) from None


def _in_ascii(name: str, given: str) -> str:
    if name.isascii():
        return name.lower()
    try:
        labels = idna.uts46_remap(name, std3_rules=False, transitional=False).split(".")
        return ".".join(label if label.isascii() else idna.alabel(label).decode() for label in labels)
    except (idna.IDNAError, ValueError):
        raise _no_host(given) from None


def _normal_ipv6(host: str) -> str:
    try:
        address = IPv6Address(host.removeprefix("[").removesuffix("]"))
    except AddressValueError:
        raise _no_host(host) from None
    if not host.endswith("]") or address.scope_id is not None:
        raise _no_host(host)
    return f"[{address}]"


def _no_host(given: str) -> BadRequest:
    return BadRequest(f"{given[:80]!r} is not a host name.", "Give a URL such as https://host/path.")
