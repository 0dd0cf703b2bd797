"""Whether a request may come from a page of another site. Gated bytes are not for those, whoever's browser asks.

A page can lead a reader's browser here in two ways: by our own name, which the browser tells (Fetch Metadata, Origin), or by a
name of its own that it lets resolve to our address (DNS rebinding), which only the Host gives away.
"""

import socket
from functools import cache
from urllib.parse import urlsplit

from dataset_mirror.errors import Forbidden
from dataset_mirror.origins.model import Origin
from dataset_mirror.rules.host import is_address
from dataset_mirror.serve.asgi import Request
from dataset_mirror.settings import Settings


def check_own_site(request: Request, origin: Origin, settings: Settings) -> None:
    """Forbidden if the request names a host that is neither ours nor the origin's, or if another site's page sent it."""
    named = request.target.authority or ",".join(request.target.hosts)
    if named and not _is_own(_host(named), origin, settings):
        raise Forbidden(
            f"Archives of {origin.authority} are restricted, and {named[:80]!r} is not known as a name of this mirror.",
            "Use the mirror's address, or set `public_url` in mirror.toml to the URL at which clients reach it.",
        )
    if is_cross_site(request, named):
        raise Forbidden(
            f"Archives of {origin.authority} are restricted, and a page of another site asked for this one.",
            "Open its URL directly, or fetch it with a program.",
        )


def _host(named: str) -> str:
    """The host of an authority, without port, brackets and trailing dot."""
    try:
        return (urlsplit(f"//{named}").hostname or "").removesuffix(".")
    except ValueError:
        return ""


def _is_own(host: str, origin: Origin, settings: Settings) -> bool:
    """An address is no name that somebody else could let resolve to ours."""
    configured = {settings.host.lower(), urlsplit(settings.public_url or "").hostname}
    return is_address(host) or host in {"localhost", _host(origin.authority), *configured, *_machine()}


@cache
def _machine() -> frozenset[str]:
    """The machine's own names, as it knows them without asking a name server."""
    name = socket.gethostname().lower().removesuffix(".")
    short = name.partition(".")[0]
    return frozenset({name, short, f"{short}.local"}) if name else frozenset()


def check_own_page(request: Request, settings: Settings) -> None:
    """Forbidden if a page of another site sent the request: whoever's browser has the token, no other page is to use it."""
    named = request.target.authority or ",".join(request.target.hosts)
    public = urlsplit(settings.public_url or "").netloc
    if is_cross_site(request, named) and not (public and not is_cross_site(request, public)):
        raise Forbidden("A page of another site sent this request.", "Do it from the mirror's own pages, or with a program.")


def is_cross_site(request: Request, named: str) -> bool:
    """By what browsers say (Fetch Metadata); those that do not, over plain http, say Origin where a page could read the answer."""
    site = request.fields.get("sec-fetch-site", "none").lower()
    if site in ("none", "same-origin"):
        return site == "none" and _is_foreign_origin(request.fields.get("origin"), named)
    # Of a site that shares our domain a person may follow a link; its scripts, images and frames get nothing.
    followed = (request.fields.get("sec-fetch-mode"), request.fields.get("sec-fetch-dest")) == ("navigate", "document")
    return not (site == "same-site" and followed)


def _is_foreign_origin(origin: str | None, named: str) -> bool:
    """What is no URL, such as `null`, is the origin of a page that is not ours."""
    if origin is None:
        return False
    try:
        return urlsplit(origin).netloc.lower() != named.lower()
    except ValueError:
        return True
