"""Which hosts are reached without a proxy: the lists that curl and Go take as NO_PROXY."""

import re
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from dataset_mirror.errors import BadRequest
from dataset_mirror.rules.authority import normal_host

_PORT = re.compile(r"(?P<host>\[[^]]*\]|[^:]*):(?P<port>[0-9]{1,5})", re.ASCII)
_NUMERIC = re.compile(r"[0-9.]+", re.ASCII)
_MAX_PORT = 65535


@dataclass(frozen=True, slots=True)
class Exemption:
    """One entry: a network of addresses, or a domain with all below it (`""` for every host); and a port, if only that one."""

    domain: str = ""
    network: IPv4Network | IPv6Network | None = None
    port: int | None = None

    def covers(self, host: str, port: int) -> bool:
        """Whether a connection to the normal `host`, a name or an address without brackets, at `port` is meant."""
        if self.port not in (None, port):
            return False
        if self.network is not None:
            address = _address(host)
            return address is not None and address in self.network
        return not self.domain or host == self.domain or host.endswith(f".{self.domain}")


def bypasses(host: str, port: int, entries: Iterable[str]) -> bool:
    """Whether a connection to `host` (a name or an address, also in brackets) goes past the proxy. False for what is no host.

    `entries` were accepted by `exemption`. Names are never resolved: a network covers only hosts that are given as addresses.
    """
    try:
        normal = normal_host(f"[{host}]" if ":" in host and not host.startswith("[") else host)
    except BadRequest:
        return False
    return any(exemption(entry).covers(normal.strip("[]"), port) for entry in entries)


def exemption(entry: str) -> Exemption:
    """What an entry means: `*`, a domain with or without a leading dot, an address, a network, each with or without a port.

    ValueError, in a sentence, for what could never cover any host.
    """
    if entry == "*":
        return Exemption()
    match = _PORT.fullmatch(entry)
    if match is None:
        return _of(entry, None)
    port = int(match["port"])
    if not 0 < port <= _MAX_PORT:
        raise ValueError(f"the port of {entry!r} does not exist")
    return Exemption(port=port) if match["host"] == "*" else _of(match["host"], port)


def _of(host: str, port: int | None) -> Exemption:
    bare = re.sub(r"^\[([^]]*)\]", r"\1", host)  # `[fd00::]/8` as well as `fd00::/8`
    with suppress(ValueError):
        return Exemption(network=ip_network(bare, strict=False), port=port)
    if "/" in host or ":" in host or _NUMERIC.fullmatch(host):
        raise ValueError(f"{host!r} is no host, address or network: it would have no effect")
    try:
        return Exemption(domain=normal_host(host.removeprefix("*").removeprefix(".")), port=port)
    except BadRequest:
        raise ValueError(f"{host!r} is no host, address or network: it would have no effect") from None


def entries_of(given: Iterable[str]) -> tuple[str, ...]:
    """The entries of lists that are separated by commas or spaces, as NO_PROXY has them; each checked by `exemption`."""
    found = tuple(part for text in given for part in re.split(r"[,\s]+", text) if part)
    for entry in found:
        exemption(entry)
    return found


def _address(host: str) -> IPv4Address | IPv6Address | None:
    try:
        address = ip_address(host)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address
