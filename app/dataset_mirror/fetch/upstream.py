"""The way to the origins: which URL is really asked, redirects under the origin's rules, errors in our words."""

import asyncio
import logging
import os
import secrets
import socket
import ssl
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Mapping
from contextlib import aclosing, suppress
from dataclasses import dataclass, replace
from http.cookiejar import CookieJar, DefaultCookiePolicy
from importlib.metadata import version
from ipaddress import ip_address
from types import MappingProxyType
from urllib.parse import urljoin, urlsplit

import httpcore
import httpx
import truststore

from dataset_mirror.errors import FillFailed, NotAllowed, Offline, OriginSaysNo
from dataset_mirror.fetch.addresses import check_global
from dataset_mirror.fetch.asking_back import LONGEST_PAGE, check_signed_in, is_page, way_on
from dataset_mirror.fetch.health import UpstreamHealth
from dataset_mirror.fetch.network.body import Tail, tail_of
from dataset_mirror.fetch.network.heads import awaiting_head
from dataset_mirror.fetch.network.names import addresses_of
from dataset_mirror.fetch.network.ways import WayOut, is_proxied
from dataset_mirror.fetch.redirects import Cookies, Hop, allowing, place_of, redirected
from dataset_mirror.fetch.retry import ENDLESS, Patience
from dataset_mirror.origins.asked import PLAIN, Lfs, Question
from dataset_mirror.origins.confirm import Confirm
from dataset_mirror.origins.identity import ArchiveId, normalise_authority
from dataset_mirror.origins.model import Origin
from dataset_mirror.origins.table import Origins
from dataset_mirror.rules import lfs
from dataset_mirror.rules.codings import coding
from dataset_mirror.rules.conditions import Validators, date_is_strong
from dataset_mirror.rules.fields import Fields
from dataset_mirror.rules.freshness import initial_age
from dataset_mirror.rules.host import split_port
from dataset_mirror.rules.lfs import Object
from dataset_mirror.settings import Configuration, Settings
from dataset_mirror.store.record import Record

log = logging.getLogger(__name__)

MAX_HOPS = 5
_LONGEST_BATCH = 16 * 1024 * 1024
"""Bytes of a batch API's answer that are read."""
_REDIRECTS = (301, 302, 303, 307, 308)
CONNECT_TIMEOUT = 5.0
"""Seconds; three tries before the first byte then stay within 15."""


PROXY_WANTS_CREDENTIALS = 407
_FRAMING = frozenset(["content-length", "transfer-encoding", "content-range", "accept-ranges"])
"""What an answer of another mirror, or of the bucket, says of its own message; all else is what they know of the archive."""
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


class ProxyRefuses(Broken):
    """The proxy on the way out wants other credentials; asking again does not help."""


@dataclass(frozen=True, slots=True)
class Reply:
    """The head of an upstream's answer, and its body still to come. Must be closed."""

    response: httpx.Response
    place: str
    """Scheme and authority that really answered."""
    upstream: str = ""
    """Scheme and authority of the upstream that was asked first; the same, unless it redirected."""
    hop: tuple[tuple[str, str], ...] = ()
    """Fields of the redirects that were the origin's own, before it led elsewhere; of several with one name the first."""
    shared: "Shared | None" = None
    """What other mirrors know of the archive, if it comes from one of them or from their bucket."""

    @property
    def status(self) -> int:
        return self.response.status_code

    def field(self, name: str) -> str | None:
        values = [value for each, value in self.fields if each == name]
        return ", ".join(values) if values else None

    @property
    def fields(self) -> list[tuple[str, str]]:
        """Lower-case names and values; each character of a value is one byte of it, so that it can be sent on as it came."""
        return [field for field in self._raw if field[0] in _FRAMING] + [*self.shared.fields] if self.shared else self._raw

    @property
    def _raw(self) -> list[tuple[str, str]]:
        return [(name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in self.response.headers.raw]

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
        """What Content-Encoding means for the bytes; None if nothing."""
        return coding(self.field("content-encoding"))

    @property
    def age(self) -> float:
        """Seconds since the origin last confirmed what a cache on the way sends (RFC 9111 4.2.3)."""
        if self.shared:
            return max(0.0, time.time() - self.shared.checked)
        return initial_age(self.field("age"))

    @property
    def validators(self) -> Validators:
        if self.shared:
            return self.shared.validators
        modified = self.field("last-modified")
        return Validators(self.field("etag"), modified, date_is_strong(modified, self.field("date")))

    @property
    def digest(self) -> str | None:
        """The SHA-256 under which other mirrors have verified the archive that it is, or is a part of; None if they have not."""
        return self.shared.record.sha256 if self.shared and self.shared.record else None

    @property
    def is_page(self) -> bool:
        """Whether it is a page to be shown, rather than a file to be saved."""
        return is_page(self.status, self.field("content-type"), self.field("content-disposition"))

    async def text(self, most: int) -> str:
        """The body as text, up to so many bytes of it. Broken if it stops before its end."""
        body = b""
        async with aclosing(self.bytes()) as chunks:
            async for chunk in chunks:
                body += chunk
                if len(body) >= most:
                    break
        return body[:most].decode("utf-8", "replace")

    async def bytes(self) -> AsyncGenerator[bytes, None]:
        """The body as it is on the wire. Broken if it stops before its end."""
        try:
            async for chunk in self.response.aiter_raw():
                yield chunk
        except httpx.HTTPError as error:
            raise self.broken(error) from error

    def tail(self, seen: int) -> Tail | None:
        """What comes after the `seen` bytes that `bytes` gave, to be read in its place; None if that has to go on."""
        if self.length is None or self.response.request.method != "GET":
            return None
        return tail_of(self.response, self.length - seen)

    def broken(self, error: httpx.HTTPError) -> Broken:
        """What it means that the body stopped before its end."""
        return Broken(_said(error, self.place), reached=True)

    async def close(self) -> None:
        await self.response.aclose()

    def cut(self) -> None:
        """Breaks the connection beneath: whoever reads the body gets Broken at once."""
        stream = self.response.extensions.get("network_stream")
        connection = stream.get_extra_info("socket") if stream is not None else None
        if connection is not None:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


@dataclass(frozen=True, slots=True)
class Shared:
    """What other mirrors know of the bytes that one of them, or their bucket, sends."""

    validators: Validators
    """The origin's own."""
    fields: Fields
    """As they are kept."""
    checked: float
    """When the origin last confirmed them (seconds since the epoch)."""
    fetched: float
    record: Record | None = None
    """All that is known of them, once they are whole and verified somewhere."""
    kept: bool = False
    """Whether the bucket has them."""
    private: bool = False
    """Whether they come with the operator's credentials."""


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
        self._clients: list[_Client] = []
        """One for each configuration that was asked with, and is not left yet."""
        self.health = UpstreamHealth()
        self._inside: httpx.AsyncClient | None = None
        """For other mirrors and for their bucket, wherever they are."""
        self._made()

    @property
    def _settings(self) -> Settings:
        return self._configuration.settings

    @property
    def is_offline(self) -> bool:
        """Whether no origin is asked."""
        return self._settings.offline

    @property
    def _client(self) -> httpx.AsyncClient:
        """The client for the present configuration; what is under way goes on over the connections that it has."""
        present = (client.asking for client in self._clients if client.settings is self._settings)
        return next(present, None) or self._made()

    def _made(self) -> httpx.AsyncClient:
        settings, origins = self._configuration.settings, self._configuration.origins
        made = _client(settings, origins)
        self._clients.append(made)
        _warn_of_plain_http(settings, origins)
        return made.asking

    async def leave_former(self) -> None:
        """Closes the connections for former configurations, but for those of a client that has something under way."""
        former = [client for client in self._clients if client.settings is not self._settings and client.way.is_idle]
        self._clients = [client for client in self._clients if client not in former]
        for client in former:
            await client.asking.aclose()

    def urls(self, origin: Origin, archive: ArchiveId) -> list[str]:
        """The URLs that are asked for an archive, in order."""
        return [base + archive.shown for base in self._in_order(origin.url_of(archive))]

    def bases(self, origin: Origin) -> list[str]:
        """The base URLs that are asked for an origin's archives, in order."""
        return self._in_order(f"{origin.scheme}://{origin.authority}")

    async def knock(self, base: str) -> Reply:
        """Any answer at all of the upstream at that base URL, closed. Broken or NotAllowed if it gives none."""
        reply = await self._send("HEAD", f"{base}/", {})
        await reply.close()
        return reply

    async def close(self) -> None:
        for client in [client.asking for client in self._clients] + ([self._inside] if self._inside else []):
            await client.aclose()

    async def inside(self, url: str, fields: Mapping[str, str], patience: Patience) -> Reply:
        """The answer of another mirror, or of the bucket that they share: it may be at any address. Broken if none came."""
        if self._inside is None:
            way = WayOut(_tls(self._settings), lambda _: True, None, ())
            wait = httpx.Timeout(self._settings.idle_timeout, connect=CONNECT_TIMEOUT, pool=None)
            self._inside = httpx.AsyncClient(transport=way, timeout=wait, trust_env=False, follow_redirects=False)
        reply = await self._send("GET", url, fields, patience.with_silence(self._settings.idle_timeout), client=self._inside)
        return replace(reply, upstream=reply.place)

    async def ask(
        self,
        origin: Origin,
        archive: ArchiveId,
        fields: FieldsFor = _no_fields,
        *,
        method: str = "GET",
        first: str = "",
        patience: Patience = ENDLESS,
        question: Question = PLAIN,
    ) -> Reply:
        """The answer for an archive after redirects, its body unread. Broken, NotAllowed or FillFailed.

        Its upstreams are asked in order, the one at `first` before all, those that failed lately last; the next one is asked
        when one fails, or does not have the archive. If all do, a passing failure counts more than a refusal: who failed may
        have it. Each of them has its share of `patience`.
        """
        if self._settings.offline:
            raise Offline(f"The mirror is offline; {origin.url_of(archive)} was not asked for.", "Try again when it is online.")
        refused: Reply | None = None
        broken: Broken | None = None
        bases, patience = self._in_order(origin.url_of(archive), first), patience.with_silence(self._settings.idle_timeout)
        for number, base in enumerate(bases):
            try:
                reply = await self._through(base, origin, archive, fields, method, patience.share(len(bases) - number), question)
            except Broken as error:
                broken = error
                continue
            except BaseException:
                await _close(refused)
                raise
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
        self,
        origin: Origin,
        method: str,
        target: bytes,
        fields: Iterable[tuple[bytes, bytes]],
        body: AsyncIterator[bytes] | None,
        *,
        by_upstream: bool = False,
    ) -> httpx.Response:
        """The real host's answer to a client's own request, its body unread; nothing is added but Via, and no redirect followed.

        `by_upstream`: its first upstream stands for the host, as for archives. httpx.HTTPError, or NotAllowed if the host's
        address is not a public one. The response must be closed.
        """
        has_port = split_port(origin.authority)[1] is not None
        url = f"{origin.scheme if has_port else 'https'}://{origin.authority}"
        base = urlsplit(self._in_order(url)[0] if by_upstream else url)
        if base.netloc != urlsplit(url).netloc:
            fields = [(name, base.netloc.encode() if name == b"host" else value) for name, value in fields]
            url, target = f"{base.scheme}://{base.netloc}", base.path.encode() + target
        elif self._is_proxied(httpx.URL(url)):
            await self._check_address(origin)
        wait = httpx.Timeout(RELAY_SILENCE, connect=CONNECT_TIMEOUT, pool=None)
        named = [*fields, (b"via", f"1.1 {self.via}".encode())]
        request = httpx.Request(method, url, headers=named, content=body, extensions={"target": target, "timeout": wait.as_dict()})
        return await self._client.send(request, stream=True)

    async def _check_address(self, origin: Origin) -> None:
        """A proxy would resolve the name; what is known here to be no public address is refused all the same."""
        parts = urlsplit(f"https://{origin.authority}")
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT):
                addresses = await addresses_of(parts.hostname or "")
        except OSError:  # TimeoutError is one
            return
        if not origin.allow_private:
            check_global(parts.hostname or "", addresses)

    def has_one(self, origin: Origin, archive: ArchiveId) -> bool:
        """Whether there is a single upstream for the archive."""
        return len(self._in_order(origin.url_of(archive))) == 1

    async def _through(
        self, base: str, origin: Origin, archive: ArchiveId, fields: FieldsFor, method: str, patience: Patience, question: Question
    ) -> Reply:
        """One upstream's answer after redirects; its health is noted."""
        place = place_of(base)
        hop = Hop(origin.url_of(archive), base + archive.target, base)
        try:
            if question.lfs is None:
                reply = await self._after_redirects(hop, origin, fields(place), method, patience, question)
            else:
                reply = await self._by_batch(hop, origin, fields(place), method, patience, question, question.lfs)
        except ProxyRefuses:
            raise
        except Broken as error:
            self.health.failed(place, str(error))
            raise
        self.health.told_time(reply.place, reply.field("date"), reply.field("age"))
        if reply.is_passing:
            self.health.failed(place, f"it answered {reply.status}")
        else:
            self.health.succeeded(place)
        return replace(reply, upstream=place)

    async def _by_batch(
        self, hop: Hop, origin: Origin, fields: Mapping[str, str], method: str, patience: Patience, question: Question, wanted: Lfs
    ) -> Reply:
        """An object of Git LFS: where the batch API says that it is, as if that were a redirect. To HEAD that is the answer."""
        asking = Hop(place_of(hop.url) + wanted.batch, hop.base + wanted.batch, hop.base)
        body = lfs.question([lfs.Object(wanted.oid, wanted.size)])
        batch = replace(question, accept=lfs.MEDIA_TYPE, body=body, content_type=lfs.MEDIA_TYPE, lfs=None)
        reply = await self._after_redirects(asking, origin, {}, "POST", patience, batch)
        if reply.status != 200:
            return reply
        found = await _in_batch(reply, hop.url, wanted.oid)
        try:
            there = redirected(origin, asking, found.href, self._in_order)
        except NotAllowed as error:
            raise allowing(error, hop.url) from None
        if method == "HEAD":
            return reply
        return await self._after_redirects(there, origin, fields, method, patience, replace(question, lfs=None), found.fields)

    async def _after_redirects(
        self,
        hop: Hop,
        origin: Origin,
        fields: Mapping[str, str],
        method: str,
        patience: Patience,
        question: Question,
        once: Mapping[str, str] = MappingProxyType({}),
    ) -> Reply:
        """`once` are fields for the first hop only."""
        url, cookies, told, body = hop.url, Cookies(), list[tuple[str, str]](), question.body
        has_asked_back = False
        for _ in range(MAX_HOPS + 1):
            named = {**_credentials(origin, hop.url, question), **once, **fields}
            once = {}
            reply = await self._send(method, hop.really, cookies.of(hop, named), patience, body)
            location = reply.field("location") if reply.status in _REDIRECTS else None
            if location is None and method == "GET" and question.confirm and reply.is_page:
                location = await self._way_on(hop, reply, question.confirm, url, again=has_asked_back)
                has_asked_back = True
            if location is None:
                return replace(reply, hop=tuple(told))
            if _is_own(origin, hop.url):
                told += [field for field in reply.fields if field[0] not in {name for name, _ in told}]
            if body is not None and reply.status not in (307, 308):
                method, body = "GET", None  # RFC 9110 15.4.2 to 15.4.4
            await reply.close()
            cookies.take(hop, reply.response)
            if question.confirm:
                check_signed_in(location, question.confirm, url)
            try:
                hop = redirected(origin, hop, location, self._in_order)
            except NotAllowed as error:
                raise allowing(error, url) from None
        raise FillFailed(f"{url} redirects more than {MAX_HOPS} times.", "Look at it with curl -vL.")

    async def _way_on(self, hop: Hop, reply: Reply, confirm: Confirm, url: str, *, again: bool) -> str:
        """Where a page goes on that came in the place of a file; its error if it does not."""
        try:
            target = way_on(await reply.text(LONGEST_PAGE), confirm, url, again=again)
        finally:
            await reply.close()
        try:
            return urljoin(hop.url, target)
        except ValueError:  # no URL, as whoever follows it says
            return target

    async def _send(
        self,
        method: str,
        url: str,
        fields: Mapping[str, str],
        patience: Patience = ENDLESS,
        body: bytes | None = None,
        client: httpx.AsyncClient | None = None,
    ) -> Reply:
        client = client or self._client
        try:
            named = [(name.encode(), value.encode("latin-1")) for name, value in {**self._fields, **fields}.items()]  # as they came
            request = client.build_request(method, url, headers=named, content=body)
            response = await self._head_of(client, request, patience)
        except httpx.HTTPError as error:
            raise self._broken(error, url) from error
        except httpx.InvalidURL as error:
            raise FillFailed(f"{url} is not a URL that can be asked for: {error}.", "Check the URL.") from error
        if response.status_code == PROXY_WANTS_CREDENTIALS and self._is_proxied(request.url):
            await response.aclose()
            raise self._proxy_refuses()
        return Reply(response, place_of(url))

    async def _head_of(self, client: httpx.AsyncClient, request: httpx.Request, patience: Patience) -> httpx.Response:
        """The answer once its head is whole: interim answers and heads that drip may not take longer than silence."""
        loop = asyncio.get_running_loop()
        clock = loop.time() - time.monotonic()
        connected_by = min(patience.connected + clock, loop.time() + CONNECT_TIMEOUT)
        try:
            async with asyncio.timeout_at(connected_by) as limit:

                async def connected(event: str, _: dict[str, object]) -> None:
                    if event.endswith("send_request_headers.started"):
                        limit.reschedule(min(patience.answered + clock, loop.time() + self._settings.idle_timeout))

                request.extensions["trace"] = connected
                with awaiting_head():
                    return await client.send(request, stream=True)
        except TimeoutError:
            raise httpx.ReadTimeout("it did not answer in time", request=request) from None

    def _broken(self, error: httpx.HTTPError, url: str) -> Broken:
        if isinstance(error, httpx.ProxyError) and str(error).startswith(str(PROXY_WANTS_CREDENTIALS)):
            return self._proxy_refuses()
        reached = not isinstance(error, httpx.ConnectError | httpx.ConnectTimeout | httpx.ReadTimeout | httpx.ProxyError)
        return Broken(_said(error, place_of(url)), reached=reached)

    def _is_proxied(self, url: httpx.URL) -> bool:
        return is_proxied(url, self._settings.upstream_proxy, self._settings.no_proxy)

    def _proxy_refuses(self) -> "ProxyRefuses":
        proxy = urlsplit(self._settings.upstream_proxy or "")
        log.error("The proxy %s wants a user and a password (407): write them into `upstream_proxy`.", proxy.hostname)
        return ProxyRefuses(f"the proxy {proxy.hostname} wants a user and a password (407)", reached=False)

    def _in_order(self, url: str, first: str = "") -> list[str]:
        """The bases to fetch from instead of the URL's scheme and host, in the operator's order, resting ones last."""
        parts = urlsplit(url)
        bases = self._settings.upstreams.get(parts.netloc) or (place_of(url),)
        filled = [base.replace("{host}", parts.netloc) for base in bases]
        return sorted(filled, key=lambda base: (place_of(base) != first, self.health.resting(place_of(base))))


async def _in_batch(reply: Reply, url: str, oid: str) -> Object:
    """The object of a batch API's answer, which is read and closed. OriginSaysNo or FillFailed if it is not there."""
    body = bytearray()
    try:
        async for chunk in reply.bytes():
            body += chunk
            if len(body) > _LONGEST_BATCH:
                break
        found = next((each for each in lfs.told(bytes(body)) if each.oid == oid), None)
    except ValueError as error:
        raise FillFailed(f"The batch API of {url} is not understood: {error}.", "Look at it with git lfs.") from None
    finally:
        await reply.close()
    if found is None or found.error is not None or not found.href:
        code = found.error.get("code") if found and found.error else 404
        status = code if isinstance(code, int) and code in (401, 403, 404, 410) else 404
        raise OriginSaysNo(status, f"The origin has no object {oid} there: {url}.", "Check the repository.")
    return found


def _credentials(origin: Origin, url: str, question: Question) -> dict[str, str]:
    """What is asked for besides, and for a URL that is the origin's own, through whichever upstream, the credentials.

    Those are the operator's fields, or else the client's Authorization; none go where a redirect has led away.
    """
    fields = {"accept": question.accept} | ({"content-type": question.content_type} if question.content_type else {})
    if not _is_own(origin, url):
        return fields
    if question.authorization:
        fields["authorization"] = question.authorization
    return fields | {name: value.get_secret_value() for name, value in origin.headers.items()}


def _is_own(origin: Origin, url: str) -> bool:
    parts = urlsplit(url)
    return normalise_authority(parts.netloc, parts.scheme) == origin.authority


def _warn_of_plain_http(settings: Settings, origins: Origins) -> None:
    """Credentials over plain http are the operator's choice, if it is one."""
    for origin in origins:
        for base in settings.upstreams.get(origin.authority) or (origin.url,) if origin.headers else ():
            parts = urlsplit(base.replace("{host}", origin.authority))
            if parts.scheme == "http" and not _is_this_machine(parts.hostname or ""):
                log.warning(
                    "The `headers` of %s go to %s over plain http: whoever is on the way can read them.", origin.authority, place_of(base)
                )


def _is_this_machine(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


@dataclass(frozen=True, slots=True, eq=False)
class _Client:
    """A client of httpx, the way that it goes, and the settings that it was made for."""

    settings: Settings
    way: WayOut
    asking: httpx.AsyncClient


def _client(settings: Settings, origins: Origins) -> _Client:
    named = {urlsplit(base.replace("{host}", host)).hostname for host, bases in settings.upstreams.items() for base in bases}
    private = {urlsplit(origin.url).hostname for origin in origins if origin.allow_private}
    way = WayOut(_tls(settings), lambda host: host in named | private, settings.upstream_proxy, settings.no_proxy)
    timeout = httpx.Timeout(settings.idle_timeout, connect=min(CONNECT_TIMEOUT, settings.idle_timeout), pool=None)
    no_cookies = CookieJar(DefaultCookiePolicy(allowed_domains=[]))  # else one archive's cookies would go with the next one
    client = httpx.AsyncClient(transport=way, cookies=no_cookies, timeout=timeout, trust_env=False, follow_redirects=False)
    return _Client(settings, way, client)


def _tls(settings: Settings) -> ssl.SSLContext:
    if settings.ca_file:
        return ssl.create_default_context(cafile=settings.ca_file)
    return truststore.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


async def _close(reply: Reply | None) -> None:
    if reply is not None:
        await reply.close()


def _why(error: BaseException) -> str:
    """Why there is no connection: the system's own words, where asyncio has only the address."""
    cause: BaseException | None = error
    while cause and not isinstance(cause, OSError):
        cause = cause.__cause__ or cause.__context__
    if isinstance(cause, OSError) and cause.errno and "Connect call failed" in str(cause):
        return os.strerror(cause.errno)
    return str(error) or "no connection"


def _said(error: httpx.HTTPError, place: str) -> str:
    if isinstance(error, httpx.ReadTimeout):
        return f"{place} was silent for too long"
    if isinstance(error, httpx.ProxyError):
        return f"{place} cannot be reached: the proxy answers {error}"
    if isinstance(error, httpx.ConnectTimeout):
        return f"{place} did not accept a connection in time"
    if isinstance(error, httpx.ConnectError):
        return f"{place} cannot be reached ({_why(error)})"
    if isinstance(error.__cause__, httpcore.RemoteProtocolError) or isinstance(error, httpx.RemoteProtocolError):
        return f"{place} broke off ({error})"
    return f"{place} broke off ({str(error) or 'the connection was reset'})"
