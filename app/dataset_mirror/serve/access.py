"""Who may change what, and who may have what. Decided from the head alone, before any body is read."""

import hmac
import re

from dataset_mirror.errors import Forbidden
from dataset_mirror.origins.model import Origin
from dataset_mirror.origins.networks import LOOPBACK, Networks, is_on
from dataset_mirror.serve.asgi import Request
from dataset_mirror.serve.client import client_address, is_forwarded, parsed

GUARD_FIELD = "x-dataset-mirror"
_LOOPBACK_NAMES = re.compile(r"(localhost|127\.\d+\.\d+\.\d+|\[::1\])(:\d+)?", re.IGNORECASE)


def check_may_change(request: Request, token: str | None) -> None:
    """Forbidden unless this client may use /api/.

    With a token: by that token. Without: only a program on this machine; a web page in a local browser cannot set the guard
    field, and whoever comes through a proxy on this machine has a forwarded field or another Host.
    """
    if token is not None:
        given = request.fields.get("authorization", "")
        if not hmac.compare_digest(given.encode(), f"Bearer {token}".encode()):
            raise Forbidden("This needs the mirror's token.", "Send it as: Authorization: Bearer TOKEN")
        return
    reason = _why_not_local(request)
    if reason:
        raise Forbidden(
            f"Changing the mirror is for commands on its own machine: {reason}.",
            "Run the command there, or set `token` in mirror.toml and send it.",
        )


def _why_not_local(request: Request) -> str | None:
    if not is_loopback(request.peer):
        return "the client is on another machine"
    if not _LOOPBACK_NAMES.fullmatch(",".join(request.target.hosts)):
        return "the Host is not a loopback name"
    if is_forwarded(request.fields):
        return "the request was forwarded"
    if request.fields.get(GUARD_FIELD) != "1":
        return "the field X-Dataset-Mirror: 1 is missing"
    return None


def is_loopback(peer: str | None) -> bool:
    """Whether a peer's address is of this machine; a Unix socket's peer has none, and is."""
    if peer is None:
        return True
    address = parsed(peer)
    return address is not None and address.is_loopback


def may_read(request: Request, readers: Networks, trusted: Networks) -> bool:
    """Whether the client is on one of these networks; `trusted` are the proxies that tell whose request they pass on."""
    address = client_address(request, trusted)
    return address is not None and is_on(address, readers)


def check_may_read(request: Request, origin: Origin, trusted: Networks, *, private: bool = False) -> bool:
    """Whether not everybody may have an origin's bytes; Forbidden if this client may not.

    `private`: these were fetched with credentials, whatever the origin has now. What is refused is the same whether or not
    the archive is there.
    """
    readers = origin.readers
    if readers is None:
        if not private and not origin.headers:
            return False
        readers = LOOPBACK
    if not may_read(request, readers, trusted):
        raise Forbidden(
            f"Archives of {origin.authority} are only for its `readers`, and this client is none of them.",
            f'To allow it, write its network into the block [[origins]] url = "{origin.scheme}://{origin.authority}" of mirror.toml: '
            'readers = ["10.1.0.0/16"]. Behind a proxy, `forwarded_allow_ips` has to name that proxy.',
        )
    return True
