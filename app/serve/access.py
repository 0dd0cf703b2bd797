"""Who may change what. Decided from the head alone, before any body is read."""

import hmac
import re
from ipaddress import ip_address

from app.errors import Forbidden
from app.serve.asgi import Request

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
    if "forwarded" in request.fields or "x-forwarded-for" in request.fields:
        return "the request was forwarded"
    if request.fields.get(GUARD_FIELD) != "1":
        return "the field X-Dataset-Mirror: 1 is missing"
    return None


def is_loopback(peer: str | None) -> bool:
    """Whether a peer's address is of this machine; a Unix socket's peer has none, and is."""
    if peer is None:
        return True
    try:
        address = ip_address(peer.partition("%")[0])
    except ValueError:
        return False
    return (getattr(address, "ipv4_mapped", None) or address).is_loopback
