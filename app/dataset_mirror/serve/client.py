"""Where a client really is: its peer's address, or what a proxy that is trusted says of it."""

import re
from collections.abc import Mapping
from ipaddress import IPv4Address, IPv6Address, ip_address

from dataset_mirror.origins.networks import LOOPBACK, Address, Networks, is_on
from dataset_mirror.serve.asgi import Request

_TOKEN = r"[A-Za-z0-9!#$%&'*+.^_`|~-]+"
_PAIR = rf'{_TOKEN}=(?:{_TOKEN}|"(?:[^"\\]|\\.)*")'
_ELEMENT = re.compile(rf"\s*{_PAIR}(?:\s*;\s*{_PAIR})*\s*")
_PAIRS = re.compile(rf'({_TOKEN})=(?:({_TOKEN})|"((?:[^"\\]|\\.)*)")')
_NODE = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|(\d+\.\d+\.\d+\.\d+))(?::\d{1,5})?", re.ASCII)


def is_forwarded(fields: Mapping[str, str]) -> bool:
    """Whether a proxy passed the request on; then the peer's address says nothing of the client."""
    return any(name in ("forwarded", "x-real-ip") or name.startswith("x-forwarded-") for name in fields)


def client_address(request: Request, trusted: Networks) -> Address | None:
    """The client's address; None if it is not known, which is on no network.

    A Unix socket's peer is this machine. Of a forwarded request the address counts only if the peer is one of the `trusted`
    proxies: the right-most one that is not itself of them. It is never loopback: then it is the proxy that is on this machine.
    """
    peer = parsed(request.peer) if request.peer is not None else IPv4Address("127.0.0.1")
    if not is_forwarded(request.fields):
        return peer
    if peer is None or not is_on(peer, trusted):
        return None
    address = _forwarded_address(request.fields, trusted)
    return None if address is None or is_on(address, LOOPBACK) else address


def _forwarded_address(fields: Mapping[str, str], trusted: Networks) -> Address | None:
    """What both fields agree on: a proxy that writes only one passes on whatever a client put into the other."""
    chains = [_x_forwarded_for(fields[name]) for name in ("x-forwarded-for",) if name in fields]
    chains += [_forwarded(fields[name]) for name in ("forwarded",) if name in fields]
    found = {_right_most(chain, trusted) for chain in chains}
    return found.pop() if len(found) == 1 else None


def _right_most(chain: list[Address | None], trusted: Networks) -> Address | None:
    return next((address for address in reversed(chain) if address is None or not is_on(address, trusted)), None)


def _x_forwarded_for(value: str) -> list[Address | None]:
    return [_node(item.strip()) for item in value.split(",")]


def _forwarded(value: str) -> list[Address | None]:
    """The `for` of each element (RFC 7239 4); one unknown if the field is not well-formed."""
    chain: list[Address | None] = []
    at = 0
    while True:
        element = _ELEMENT.match(value, at)
        if element is None or value[element.end() : element.end() + 1] not in ("", ","):
            return [None]
        nodes = [plain or quoted for name, plain, quoted in _PAIRS.findall(element[0]) if name.lower() == "for"]
        chain.append(_node(nodes[0]) if len(nodes) == 1 else None)
        if element.end() == len(value):
            return chain
        at = element.end() + 1


def _node(text: str) -> Address | None:
    """An address, perhaps with a port; IPv6 stands in brackets then."""
    match = _NODE.fullmatch(text)
    return parsed(match[1] or match[2] if match else text)


def parsed(text: str) -> Address | None:
    """The address that a text is, None if it is none; an IPv4 address inside an IPv6 one is what it means."""
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address
