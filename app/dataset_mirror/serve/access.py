"""Who may change what, and who may have what. Decided from the head alone, before any body is read."""

import hmac
import re
from contextlib import suppress

from dataset_mirror.errors import Forbidden
from dataset_mirror.origins.model import Origin
from dataset_mirror.origins.networks import LOOPBACK, Networks, is_on
from dataset_mirror.rules.anonymous import anonymised
from dataset_mirror.serve.asgi import Request
from dataset_mirror.serve.client import client_address, is_forwarded, parsed
from dataset_mirror.serve.sites import check_own_page, check_own_site
from dataset_mirror.settings import Settings
from dataset_mirror.store.changes import OPERATOR

GUARD_FIELD = "x-dataset-mirror"
_LOOPBACK_NAMES = re.compile(r"(localhost|127\.\d+\.\d+\.\d+|\[::1\])(:\d+)?", re.IGNORECASE)


def check_may_change(request: Request, key: str, settings: Settings) -> str:
    """Forbidden unless this client may use /api/: by the `token` from anywhere, by the data folder's key on this machine.

    To be on this machine is no right by itself: it may have many users, and a page in a browser of one of them asks from here.
    Returns who it is, for the log of changes.
    """
    check_own_page(request, settings)
    given = _bearer(request)
    by_token = settings.token is not None and _is_secret(given, settings.token)
    by_key = _is_secret(given, key)
    if by_token:
        address = client_address(request, settings.forwarded_allow_ips)
        return anonymised(str(address) if address else "", settings.anonymise_clients) or OPERATOR
    reason = _why_not_beside(request, settings.host) if by_key else "the token is wrong"
    if not given:
        reason = "the mirror's token, or the key of its data folder, is missing"
    if reason is None:
        return OPERATOR
    raise Forbidden(
        f"Changing the mirror is not for everybody: {reason}.",
        "Run the command as the user who runs the mirror, on its machine; or set `token` in mirror.toml and send it "
        "as a Bearer token (commands send DATASET_MIRROR_TOKEN).",
    )


def _bearer(request: Request) -> bytes:
    """The credentials of the scheme Bearer, whose name has no case (RFC 9110 11.1), as bytes; nothing if there are none."""
    scheme, _, secret = request.fields.get("authorization", "").partition(" ")
    return secret.strip().encode("latin-1") if scheme.lower() == "bearer" else b""


def _is_secret(given: bytes, secret: str) -> bool:
    """Compared in constant time, as UTF-8 or as the one byte per character that some clients make of it."""
    forms = [secret.encode()]
    with suppress(UnicodeEncodeError):
        forms.append(secret.encode("latin-1"))
    return any(hmac.compare_digest(given, form) for form in forms)


def _why_not_beside(request: Request, own: str) -> str | None:
    """Why a client with the key may not be on this machine; `own` is the address that the mirror listens at."""
    hosts = ",".join(request.target.hosts)
    if not is_loopback(request.peer) and request.peer != own:
        return "the data folder's key counts only on the mirror's machine"
    if not _LOOPBACK_NAMES.fullmatch(hosts) and hosts.rpartition(":")[0].strip("[]") != own:
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


def check_may_read(request: Request, origin: Origin, settings: Settings, *, private: bool = False) -> bool:
    """Whether not everybody may have an origin's bytes; Forbidden if this client may not.

    `private`: these were fetched with credentials, whatever the origin has now. What is refused is the same whether or not
    the archive is there.
    """
    readers = origin.readers
    if readers is None:
        if not private and not origin.headers:
            return False
        readers = LOOPBACK
    if not may_read(request, readers, settings.forwarded_allow_ips):
        raise Forbidden(
            f"Archives of {origin.authority} are only for its `readers`, and this client is not one of them.",
            f'To allow it, write its network into the block [[origins]] url = "{origin.scheme}://{origin.authority}" of mirror.toml: '
            'readers = ["10.1.0.0/16"]. Behind a proxy, `forwarded_allow_ips` has to name that proxy.',
        )
    check_own_site(request, origin, settings)
    return True
