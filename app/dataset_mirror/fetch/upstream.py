"""The way to the origins: which URL is really asked, redirects under the origin's rules, errors in our words."""

import asyncio
import logging
import secrets
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from dataclasses import replace
from importlib.metadata import version
from types import MappingProxyType
from urllib.parse import urljoin, urlsplit

import httpx

from dataset_mirror.errors import FillFailed, NotAllowed, Offline, OriginSaysNo
from dataset_mirror.fetch.addresses import check_global
from dataset_mirror.fetch.asking_back import LONGEST_PAGE, check_signed_in, way_on
from dataset_mirror.fetch.clients import CONNECT_TIMEOUT, Clients
from dataset_mirror.fetch.health import UpstreamHealth
from dataset_mirror.fetch.network.heads import awaiting_head
from dataset_mirror.fetch.network.names import addresses_of
from dataset_mirror.fetch.network.ways import is_proxied
from dataset_mirror.fetch.redirects import Cookies, Hop, allowing, place_of, redirected
from dataset_mirror.fetch.reply import Broken, ProxyRefuses, Reply, why_broken
from dataset_mirror.fetch.retry import ENDLESS, Patience
from dataset_mirror.origins.asked import PLAIN, Lfs, Question
from dataset_mirror.origins.confirm import Confirm
from dataset_mirror.origins.identity import ArchiveId, normalise_authority
from dataset_mirror.origins.model import Origin
from dataset_mirror.rules import lfs
from dataset_mirror.rules.fields import repr_digest
from dataset_mirror.rules.host import split_port
from dataset_mirror.rules.lfs import Object
from dataset_mirror.settings import Configuration, Settings

log = logging.getLogger(__name__)

MAX_HOPS = 5
_LONGEST_BATCH = 16 * 1024 * 1024
"""Bytes of a batch API's answer that are read."""
_REDIRECTS = (301, 302, 303, 307, 308)
PROXY_WANTS_CREDENTIALS = 407
RELAY_SILENCE = 300.0
"""Seconds; what clients ask the real host for may take longer than archives do."""

FieldsFor = Callable[[str], Mapping[str, str]]
"""Request fields for the upstream at that place: validators are an upstream's own."""


def no_fields(_: str) -> Mapping[str, str]:
    """Nothing but the archive itself is asked for."""
    return {}


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
        self._clients = Clients(configuration)
        self.health = UpstreamHealth()

    @property
    def _settings(self) -> Settings:
        return self._configuration.settings

    @property
    def is_offline(self) -> bool:
        """Whether no origin is asked."""
        return self._settings.offline

    async def leave_former(self) -> None:
        """Closes connections that former configurations left, as far as they bring nothing."""
        await self._clients.leave_former()

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
        await self._clients.close()

    async def inside(self, url: str, fields: Mapping[str, str], patience: Patience) -> Reply:
        """The answer of another mirror, or of the bucket that they share: it may be at any address. Broken if none came."""
        reply = await self._send("GET", url, fields, patience.with_silence(self._settings.idle_timeout), client=self._clients.inside)
        return replace(reply, upstream=reply.place)

    async def ask(
        self,
        origin: Origin,
        archive: ArchiveId,
        fields: FieldsFor = no_fields,
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
        return await self._clients.present.send(request, stream=True)

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
        """An object of Git LFS: where the batch API says that it is, as if that were a redirect. HEAD asks no further."""
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
            known = {"content-length": str(found.size or wanted.size), "repr-digest": repr_digest(wanted.oid)}
            return replace(reply, response=httpx.Response(200, headers=known, request=reply.response.request))
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
        client = client or self._clients.present
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
        return Broken(why_broken(error, place_of(url)), reached=reached)

    def _is_proxied(self, url: httpx.URL) -> bool:
        return is_proxied(url, self._settings.upstream_proxy, self._settings.no_proxy)

    def _proxy_refuses(self) -> ProxyRefuses:
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
    try:
        body = await reply.start(_LONGEST_BATCH)
        found = next((each for each in lfs.told(body) if each.oid == oid), None)
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


async def _close(reply: Reply | None) -> None:
    if reply is not None:
        await reply.close()
