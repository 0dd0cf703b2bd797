"""The way to the origins: which URL is really asked, redirects under the origin's rules, errors in our words."""

import logging
import secrets
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from http.cookiejar import CookieJar, DefaultCookiePolicy
from importlib.metadata import version
from ipaddress import ip_address
from urllib.parse import urlsplit

import httpcore
import httpx
import truststore

from dataset_mirror.errors import BadRequest, FillFailed, NotAllowed, Offline
from dataset_mirror.fetch.addresses import CheckedTransport, addresses_of, check_global
from dataset_mirror.fetch.health import UpstreamHealth
from dataset_mirror.origins.identity import ArchiveId, normalise_authority
from dataset_mirror.origins.model import Origin
from dataset_mirror.origins.table import Origins
from dataset_mirror.rules.conditions import Validators, date_is_strong
from dataset_mirror.settings import Configuration, Settings

log = logging.getLogger(__name__)

MAX_HOPS = 5
CONNECT_TIMEOUT = 5.0
"""Seconds; three tries before the first byte then stay within 15."""


RELAY_SILENCE = 300.0
"""Seconds; what clients ask the real host for may take longer than archives do."""

FieldsFor = Callable[[str], Mapping[str, str]]
"""Request fields for the upstream at that place: validators are an upstream's own."""


def _no_fields(_: str) -> Mapping[str, str]:
    return {}


class Broken(Exception):
    """The upstream could not be reached, fell silent or broke off; worth another try. The text says which."""

    def __init__(self, what: str, *, reached: bool) -> None:
        super().__init__(what)
        self.reached = reached
        """Whether an upstream answered at all."""


@dataclass(frozen=True, slots=True)
class Reply:
    """The head of an upstream's answer, and its body still to come. Must be closed."""

    response: httpx.Response
    place: str
    """Scheme and authority that really answered."""
    upstream: str = ""
    """Scheme and authority of the upstream that was asked first; the same, unless it redirected."""

    @property
    def status(self) -> int:
        return self.response.status_code

    def field(self, name: str) -> str | None:
        value: str | None = self.response.headers.get(name)
        return value

    @property
    def fields(self) -> list[tuple[str, str]]:
        return self.response.headers.multi_items()

    @property
    def is_passing(self) -> bool:
        """Whether it is a failure that may pass: the same question may get an answer later."""
        return self.status == 429 or self.status >= 500

    @property
    def length(self) -> int | None:
        """Content-Length in bytes; None if the body is chunked or ends by close."""
        value = self.field("content-length")
        return int(value) if value and value.isdecimal() and not self.field("transfer-encoding") else None

    @property
    def ends_by_close(self) -> bool:
        """Whether nothing but the end of the connection marks the end of the body (RFC 9112 6.3)."""
        return self.length is None and "chunked" not in (self.field("transfer-encoding") or "").lower()

    @property
    def encoding(self) -> str | None:
        """Content-Encoding in lower case, unless it is none."""
        value = (self.field("content-encoding") or "identity").strip().lower()
        return None if value == "identity" else value

    @property
    def validators(self) -> Validators:
        modified = self.field("last-modified")
        return Validators(self.field("etag"), modified, date_is_strong(modified, self.field("date")))

    async def bytes(self) -> AsyncGenerator[bytes, None]:
        """The body as it is on the wire. Broken if it stops before its end."""
        try:
            async for chunk in self.response.aiter_raw():
                yield chunk
        except httpx.HTTPError as error:
            raise Broken(_said(error, self.place), reached=True) from error

    async def close(self) -> None:
        await self.response.aclose()


class Upstream:
    """Asks upstreams for archives. No field of a client ever goes with it."""

    def __init__(self, configuration: Configuration) -> None:
        self.via = f"dataset-mirror-{secrets.token_hex(8)}"
        """Our name in Via; coming back to us it means a loop."""
        self._configuration = configuration
        self._fields = {
            "user-agent": f"dataset-mirror/{version('dataset-mirror')}",
            "accept": "*/*",
            "accept-encoding": "identity",
            "via": f"1.1 {self.via}",
        }
        self._clients: list[tuple[Settings, httpx.AsyncClient]] = []
        """One for each configuration that was asked with, the present one last."""
        self.health = UpstreamHealth()
        self._made()

    @property
    def _settings(self) -> Settings:
        return self._configuration.settings

    @property
    def _client(self) -> httpx.AsyncClient:
        """The client for the present configuration; what is under way goes on over the connections that it has."""
        made_for, client = self._clients[-1]
        return client if made_for is self._settings else self._made()

    def _made(self) -> httpx.AsyncClient:
        settings, origins = self._configuration.settings, self._configuration.origins
        client = _client(settings, origins)
        self._clients.append((settings, client))
        _warn_of_plain_http(settings, origins)
        return client

    def urls(self, origin: Origin, archive: ArchiveId) -> list[str]:
        """The URLs that are asked for an archive, in order."""
        return [base + archive.target for base in self._in_order(origin.url_of(archive))]

    def bases(self, origin: Origin) -> list[str]:
        """The base URLs that are asked for an origin's archives, in order."""
        return self._in_order(f"{origin.scheme}://{origin.authority}")

    async def knock(self, base: str) -> Reply:
        """Any answer at all of the upstream at that base URL, closed. Broken or NotAllowed if it gives none."""
        reply = await self._send("HEAD", f"{base}/", {})
        await reply.close()
        return reply

    async def close(self) -> None:
        for _, client in self._clients:
            await client.aclose()

    async def ask(
        self, origin: Origin, archive: ArchiveId, fields: FieldsFor = _no_fields, *, method: str = "GET", first: str = ""
    ) -> Reply:
        """The answer for an archive after redirects, its body unread. Broken, NotAllowed or FillFailed.

        Its upstreams are asked in order, the one at `first` before all, those that failed lately last; the next one is asked
        when one fails, or does not have the archive. If all do, a passing failure counts more than a refusal: who failed may
        have it.
        """
        if self._settings.offline:
            raise Offline(f"The mirror is offline; {origin.url_of(archive)} was not asked for.", "Ask while it is online.")
        refused: Reply | None = None
        broken: Broken | None = None
        for base in self._in_order(origin.url_of(archive), first):
            try:
                reply = await self._through(base, origin, archive, fields, method)
            except Broken as error:
                broken = error
                continue
            if reply.status < 400 or reply.status == 416:
                await _close(refused)
                return reply
            if refused is not None and refused.is_passing and not reply.is_passing:
                refused, reply = reply, refused
            await _close(refused)
            refused = reply
        if broken and (refused is None or not refused.is_passing):
            await _close(refused)
            raise broken
        assert refused is not None
        return refused

    async def relay(
        self, origin: Origin, method: str, target: bytes, fields: Iterable[tuple[bytes, bytes]], body: AsyncIterator[bytes] | None
    ) -> httpx.Response:
        """The real host's answer to a client's own request, its body unread; nothing is added but Via, and no redirect followed.

        httpx.HTTPError, or NotAllowed if the host's address is not a public one. The response must be closed.
        """
        has_port = origin.authority.rpartition(":")[2].isdecimal()
        url = f"{origin.scheme if has_port else 'https'}://{origin.authority}"
        if self._settings.upstream_proxy:
            await self._check_address(origin)
        wait = httpx.Timeout(RELAY_SILENCE, connect=CONNECT_TIMEOUT, pool=None)
        named = [*fields, (b"via", f"1.1 {self.via}".encode())]
        request = httpx.Request(method, url, headers=named, content=body, extensions={"target": target, "timeout": wait.as_dict()})
        return await self._client.send(request, stream=True)

    async def _check_address(self, origin: Origin) -> None:
        """A proxy would resolve the name; what is known here to be no public address is refused all the same."""
        parts = urlsplit(f"https://{origin.authority}")
        try:
            addresses = await addresses_of(parts.hostname or "", parts.port or 443)
        except OSError:
            return
        if not origin.allow_private:
            check_global(parts.hostname or "", addresses)

    def has_one(self, origin: Origin, archive: ArchiveId) -> bool:
        """Whether there is a single upstream for the archive."""
        return len(self._in_order(origin.url_of(archive))) == 1

    async def _through(self, base: str, origin: Origin, archive: ArchiveId, fields: FieldsFor, method: str) -> Reply:
        """One upstream's answer after redirects; its health is noted."""
        place = _place(base)
        try:
            reply = await self._after_redirects(base, origin, archive, fields(place), method)
        except Broken as error:
            self.health.failed(place, str(error))
            raise
        if reply.is_passing:
            self.health.failed(place, f"it answered {reply.status}")
        else:
            self.health.succeeded(place)
        return replace(reply, upstream=place)

    async def _after_redirects(self, base: str, origin: Origin, archive: ArchiveId, fields: Mapping[str, str], method: str) -> Reply:
        url = origin.url_of(archive)
        really = base + archive.target
        for _ in range(MAX_HOPS + 1):
            reply = await self._send(method, really, {**_credentials(origin, url), **fields})
            location = reply.field("location")
            if reply.status not in (301, 302, 303, 307, 308) or location is None:
                return reply
            await reply.close()
            url, really = self._redirected(origin, url, really, location)
        raise FillFailed(f"{origin.url_of(archive)} redirects more than {MAX_HOPS} times.", "Look at it with curl -vL.")

    async def _send(self, method: str, url: str, fields: Mapping[str, str]) -> Reply:
        try:
            request = self._client.build_request(method, url, headers={**self._fields, **fields})
            response = await self._client.send(request, stream=True)
        except httpx.HTTPError as error:
            reached = not isinstance(error, httpx.ConnectError | httpx.ConnectTimeout | httpx.ReadTimeout)
            raise Broken(_said(error, _place(url)), reached=reached) from error
        except httpx.InvalidURL as error:
            raise FillFailed(f"{url} is not a URL that can be asked for: {error}.", "Check the URL.") from error
        return Reply(response, _place(url))

    def _in_order(self, url: str, first: str = "") -> list[str]:
        """The bases to fetch from instead of the URL's scheme and host, in the operator's order, resting ones last."""
        parts = urlsplit(url)
        bases = self._settings.upstreams.get(parts.netloc) or (_place(url),)
        filled = [base.replace("{host}", parts.netloc) for base in bases]
        return sorted(filled, key=lambda base: (_place(base) != first, self.health.resting(_place(base))))

    def _mapped(self, url: str) -> str:
        """The URL to really ask for the target of a redirect."""
        return self._in_order(url)[0] + url.removeprefix(_place(url))

    def _redirected(self, origin: Origin, url: str, really: str, location: str) -> tuple[str, str]:
        """Where a redirect leads, as the origin would say it and as we really ask; NotAllowed if the origin may not go there."""
        if location.startswith(f"{_place(really)}/") and _place(really) != _place(url):  # an upstream that names itself
            return url, location
        target = _joined(url, location)
        parts = urlsplit(target)
        if parts.scheme not in ("http", "https") or (urlsplit(url).scheme == "https" and parts.scheme == "http"):
            raise NotAllowed(f"{url} redirects to {_place(target)}, away from https.", "That is never followed.")
        try:
            authority = normalise_authority(parts.netloc, parts.scheme)
        except BadRequest as error:  # it is the origin's fault, not the client's
            raise FillFailed(f"{url} redirects to a place that is not followed: {error.detail}", "Look at it with curl -v.") from None
        if not origin.redirects_may_lead_to(authority):
            raise NotAllowed(
                f"{url} redirects to the host {authority}, which its origin does not list.",
                f'If that is right, write redirects_to = ["{authority}"] into its [[origins]] block in mirror.toml.',
            )
        return target, self._mapped(target)


def _credentials(origin: Origin, url: str) -> dict[str, str]:
    """The operator's fields for a URL that is the origin's own, through whichever upstream; none once a redirect has led away."""
    parts = urlsplit(url)
    if normalise_authority(parts.netloc, parts.scheme) != origin.authority:
        return {}
    return {name: value.get_secret_value() for name, value in origin.headers.items()}


def _warn_of_plain_http(settings: Settings, origins: Origins) -> None:
    """Credentials over plain http are the operator's choice, if it is one."""
    for origin in origins:
        for base in settings.upstreams.get(origin.authority) or (origin.url,) if origin.headers else ():
            parts = urlsplit(base.replace("{host}", origin.authority))
            if parts.scheme == "http" and not _is_this_machine(parts.hostname or ""):
                log.warning(
                    "The `headers` of %s go to %s over plain http: whoever is on the way can read them.", origin.authority, _place(base)
                )


def _is_this_machine(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _client(settings: Settings, origins: Origins) -> httpx.AsyncClient:
    named = {urlsplit(base.replace("{host}", host)).hostname for host, bases in settings.upstreams.items() for base in bases}
    private = {urlsplit(origin.url).hostname for origin in origins if origin.allow_private}
    context = _tls(settings)
    direct = CheckedTransport(context, lambda host: host in named | private)
    mounts: dict[str, httpx.AsyncBaseTransport | None] = {}
    if settings.upstream_proxy:
        # Behind a proxy addresses cannot be checked, for it resolves the names: the list of hosts is the guard.
        mounts["all://"] = httpx.AsyncHTTPTransport(verify=context, trust_env=False, proxy=settings.upstream_proxy)
        mounts |= {f"all://*{host.lstrip('*.')}": direct for host in settings.no_proxy}
    timeout = httpx.Timeout(settings.idle_timeout, connect=min(CONNECT_TIMEOUT, settings.idle_timeout), pool=None)
    no_cookies = CookieJar(DefaultCookiePolicy(allowed_domains=[]))  # else one archive's cookies would go with the next one
    return httpx.AsyncClient(transport=direct, mounts=mounts, cookies=no_cookies, timeout=timeout, trust_env=False, follow_redirects=False)


def _tls(settings: Settings) -> ssl.SSLContext:
    if settings.ca_file:
        return ssl.create_default_context(cafile=settings.ca_file)
    return truststore.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def _joined(url: str, location: str) -> str:
    """The target of a redirect; FillFailed if it is no URL."""
    try:
        target = str(httpx.URL(url).join(location))
        urlsplit(target)
    except (httpx.InvalidURL, ValueError):
        raise FillFailed(f"{url} redirects to {location[:200]!r}, which is not a URL.", "Look at it with curl -v.") from None
    return target


async def _close(reply: Reply | None) -> None:
    if reply is not None:
        await reply.close()


def _place(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def _said(error: httpx.HTTPError, place: str) -> str:
    if isinstance(error, httpx.ReadTimeout):
        return f"{place} was silent for too long"
    if isinstance(error, httpx.ConnectTimeout):
        return f"{place} did not accept a connection in time"
    if isinstance(error, httpx.ConnectError):
        return f"{place} cannot be reached ({str(error) or 'no connection'})"
    if isinstance(error.__cause__, httpcore.RemoteProtocolError) or isinstance(error, httpx.RemoteProtocolError):
        return f"{place} broke off ({error})"
    return f"{place} broke off ({str(error) or 'the connection was reset'})"
