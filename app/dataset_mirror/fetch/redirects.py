"""Redirects: where one leads, both as the origin would say it and as it is really asked, under the origin's rules."""

from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

import httpx

from dataset_mirror.errors import BadRequest, FillFailed, NotAllowed
from dataset_mirror.origins.identity import normalise_authority
from dataset_mirror.origins.model import Origin
from dataset_mirror.rules.sentences import quoted

BasesOf = Callable[[str], list[str]]
"""The base URLs that are asked instead of a URL's scheme and host, in order."""

REFUSED_HOST = "redirects_to"
"""The fact of a NotAllowed that names the host which an origin may not redirect to."""
_ANY_BYTES = "latin-1"
"""Each byte of a field is a character."""
_DEFAULT_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Hop:
    """One request on the way to an archive."""

    url: str
    """As the origin would say it: what its rules, its credentials and cookies go by."""
    really: str
    """As it is really asked, at an upstream or at the origin itself."""
    base: str
    """The base URL in `really` that stands for scheme and host in `url`."""


class Cookies:
    """What redirects on the way of one request set, for its next hops only (RFC 6265: domain, path and Secure as the origin means them)."""

    def __init__(self) -> None:
        self._jar = httpx.Cookies()

    def take(self, hop: Hop, answer: httpx.Response) -> None:
        """Keeps what the answer to this hop sets."""
        said = httpx.Response(answer.status_code, headers=answer.headers, request=httpx.Request("GET", hop.url))
        said.headers.encoding = _ANY_BYTES
        self._jar.extract_cookies(said)

    def of(self, hop: Hop, fields: dict[str, str]) -> dict[str, str]:
        """`fields`, with the cookies for this hop."""
        request = httpx.Request("GET", hop.url)
        request.headers.encoding = _ANY_BYTES
        self._jar.set_cookie_header(request)
        named = [value for value in (fields.get("cookie"), request.headers.get("cookie")) if value]
        return fields | {"cookie": "; ".join(named)} if named else fields


def redirected(origin: Origin, hop: Hop, location: str, bases_of: BasesOf) -> Hop:
    """The next hop. NotAllowed if the origin may not redirect there, FillFailed if that is no place at all.

    A relative reference is resolved against the URL that was really asked (RFC 9110 10.2.2): an upstream whose base has a path
    knows its own paths only. Where that lies below a base it is the origin's again.
    """
    target = _joined(hop, location)
    parts = urlsplit(target)
    if parts.scheme in _DEFAULT_PORTS and _is_same_server(_checked(hop, parts), urlsplit(hop.really)):
        return _at_same_server(hop, target)
    if location.startswith("//"):  # it has the scheme by which the origin would be asked
        target = f"{urlsplit(hop.url).scheme}:{location}"
        parts = urlsplit(target)
    for host in (origin.authority, *(listed for listed in origin.redirects_to if not listed.startswith("*"))):
        for base in bases_of(f"{urlsplit(hop.url).scheme}://{host}"):
            if (rest := _below(base, target)) is not None:
                return Hop(f"{urlsplit(hop.url).scheme}://{host}{rest}", target, base)
    _check_allowed(origin, hop, parts)
    stays = _authority(hop, parts) == normalise_authority(urlsplit(hop.url).netloc, urlsplit(hop.url).scheme)
    base = hop.base if stays else bases_of(target)[0]
    return Hop(target, base + target.removeprefix(place_of(target)), base)


def allowing(error: NotAllowed, url: str) -> NotAllowed:
    """The refusal of a redirect on the way to an archive's URL, with the command that allows it; another one as it is."""
    if REFUSED_HOST in error.facts:
        command = f"dataset-mirror add {quoted(url)} --yes"
        error.hint = error.hint.replace("If that is right,", f"If that is right, run: {command} — or")
        error.facts |= {"archive": url, "command": command}
    return error


def place_of(url: str) -> str:
    """Scheme and authority."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def _at_same_server(hop: Hop, target: str) -> Hop:
    base = hop.base if place_of(hop.base) == place_of(target) else place_of(target) + urlsplit(hop.base).path
    rest = _below(base, target)
    return Hop(hop.url if rest is None else place_of(hop.url) + rest, target, base)


def _is_same_server(target: SplitResult, really: SplitResult) -> bool:
    """Whether a redirect stays at the server that sent it; one from http to https does, too."""
    if target.scheme == really.scheme:
        return normalise_authority(target.netloc, target.scheme) == normalise_authority(really.netloc, really.scheme)
    default = all((parts.port or _DEFAULT_PORTS[parts.scheme]) == _DEFAULT_PORTS[parts.scheme] for parts in (target, really))
    return target.scheme == "https" and default and target.hostname == really.hostname


def _below(base: str, url: str) -> str | None:
    """Path and query of a URL below a base URL; None if it is not."""
    root, parts = urlsplit(base), urlsplit(url)
    if (root.scheme, root.netloc.lower()) != (parts.scheme, parts.netloc.lower()):
        return None
    if not (parts.path == root.path or parts.path.startswith(f"{root.path}/")):
        return None
    return (parts.path.removeprefix(root.path) or "/") + (f"?{parts.query}" if parts.query else "")


def _check_allowed(origin: Origin, hop: Hop, parts: SplitResult) -> None:
    url = hop.url
    if parts.scheme not in _DEFAULT_PORTS or (urlsplit(url).scheme == "https" and parts.scheme == "http"):
        raise NotAllowed(f"{url} redirects to {place_of(parts.geturl())}, away from https.", "Such a redirect is never followed.")
    authority = _authority(hop, parts)
    if not origin.redirects_may_lead_to(authority):
        raise NotAllowed(
            f"{url} redirects to the host {authority}, which its origin does not list.",
            f'If that is right, write redirects_to = ["{authority}"] into its [[origins]] block in mirror.toml.',
            redirects_to=authority,
        )


def _checked(hop: Hop, parts: SplitResult) -> SplitResult:
    _authority(hop, parts)
    return parts


def _authority(hop: Hop, parts: SplitResult) -> str:
    try:
        return normalise_authority(parts.netloc, parts.scheme)
    except BadRequest as error:  # it is the origin's fault, not the client's
        raise FillFailed(f"{hop.url} redirects to a location that is not followed: {error.detail}", "Look at it with curl -v.") from None


def _joined(hop: Hop, location: str) -> str:
    """The target of a redirect; FillFailed if it is no URL."""
    try:
        target = str(httpx.URL(hop.really).join(location).copy_with(fragment=None))
        urlsplit(target)
    except (httpx.InvalidURL, ValueError):
        raise FillFailed(f"{hop.url} redirects to {location[:200]!r}, which is not a URL.", "Look at it with curl -v.") from None
    return target
