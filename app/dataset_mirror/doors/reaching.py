"""How the far end of a tunnel is reached: at its public addresses, or through the mirror's own proxy."""

import asyncio
import base64
import ssl
from typing import Any, TypeVar
from urllib.parse import unquote, urlsplit

from dataset_mirror.doors.decision import Doors, refused_as_private
from dataset_mirror.doors.tunnel import End
from dataset_mirror.errors import NoTunnel, OriginUnreachable
from dataset_mirror.fetch.addresses import is_global
from dataset_mirror.fetch.network.connecting import connected
from dataset_mirror.fetch.network.names import addresses_of
from dataset_mirror.fetch.opening import PROXY_HINT
from dataset_mirror.fetch.upstream import PROXY_WANTS_CREDENTIALS
from dataset_mirror.rules.no_proxy import bypasses
from dataset_mirror.settings import Settings

_CONNECT_SECONDS = 10.0
_LARGEST_HEAD = 16 * 1024


async def connect(host: str, doors: Doors) -> End:
    """The far end of a tunnel to port 443 of a host. NoTunnel if it is not public, OriginUnreachable if it cannot be reached."""
    settings = doors.mirror.settings
    through_proxy = settings.upstream_proxy is not None and not bypasses(host, 443, settings.no_proxy)
    try:
        async with asyncio.timeout(_CONNECT_SECONDS):
            addresses = await _public_addresses(host, may_be_unknown=through_proxy)
            if through_proxy:
                return await _through_proxy(host, settings)
            return await _directly(host, addresses, doors)
    except TimeoutError:
        raise OriginUnreachable(f"{host} did not accept a connection in time.", "Try again later.") from None
    except OSError as error:
        raise OriginUnreachable(f"{host} cannot be reached ({error.strerror or error}).", "Check the name, or try again later.") from None


async def _public_addresses(host: str, *, may_be_unknown: bool) -> list[str]:
    """All addresses are checked, and only these are connected to. Behind a proxy a name need not be known here."""
    try:
        addresses = await addresses_of(host)
    except OSError:
        if may_be_unknown:
            return []
        raise
    for address in addresses:
        if not is_global(address):
            raise refused_as_private(host, address)
    return addresses


async def _directly(host: str, addresses: list[str], doors: Doors) -> End:
    end = await _joined(End(), addresses, 443)
    if _is_own(end.transport, doors):
        end.transport.abort()
        raise NoTunnel(f"{host} is this mirror itself.", "Add it to NO_PROXY.")
    return end


_Protocol = TypeVar("_Protocol", bound=asyncio.Protocol)


async def _joined(protocol: _Protocol, addresses: list[str], port: int, **tls: Any) -> _Protocol:
    """A connection to the first address that answers, and the protocol on it. OSError if there is none."""
    connection = await connected(addresses, port)
    try:
        await asyncio.get_running_loop().create_connection(lambda: protocol, sock=connection, **tls)
    except BaseException:
        connection.close()
        raise
    return protocol


def _is_own(transport: asyncio.Transport, doors: Doors) -> bool:
    """Whether a connection has led back to a port that the mirror itself listens at."""
    ours, theirs = transport.get_extra_info("sockname"), transport.get_extra_info("peername")
    return theirs[1] in doors.own_ports and ours[0] == theirs[0]


async def _through_proxy(host: str, settings: Settings) -> End:
    """By CONNECT to the mirror's own way out."""
    proxy = urlsplit(settings.upstream_proxy or "")
    is_tls = proxy.scheme == "https"
    context = ssl.create_default_context(cafile=settings.ca_file) if is_tls else None
    port = proxy.port or (443 if is_tls else 80)
    name = proxy.hostname or ""
    tls = {"ssl": context, "server_hostname": name} if context else {}
    asking = await _joined(_Asking(), await addresses_of(name), port, **tls)
    asking.transport.write(_request(host, proxy.username, proxy.password))
    try:
        status = await asking.status
    except BaseException:
        asking.transport.abort()
        raise
    if status != 200:
        asking.transport.abort()
        hint = PROXY_HINT if status == PROXY_WANTS_CREDENTIALS else "Check `upstream_proxy`."
        raise OriginUnreachable(f"The proxy {proxy.hostname} answered {status} to CONNECT {host}:443.", hint)
    end = End()
    end.connection_made(asking.transport)
    end.early = asking.rest
    asking.transport.set_protocol(end)
    return end


def _request(host: str, user: str | None, password: str | None) -> bytes:
    lines = [f"CONNECT {host}:443 HTTP/1.1", f"Host: {host}:443"]
    if user is not None:
        pair = f"{unquote(user)}:{unquote(password or '')}"
        lines.append(f"Proxy-Authorization: Basic {base64.b64encode(pair.encode()).decode()}")
    return "\r\n".join([*lines, "", ""]).encode()


class _Asking(asyncio.Protocol):
    """A connection to a proxy until it has answered."""

    transport: asyncio.Transport

    def __init__(self) -> None:
        self.status: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._head = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self._head += data
        if self.status.done():
            return
        if b"\r\n\r\n" in self._head:
            self.transport.pause_reading()
            word = self._head.split(b" ", 2)[1:2]
            self.status.set_result(int(word[0]) if word and word[0].isdigit() else 0)
        elif len(self._head) > _LARGEST_HEAD:
            self.status.set_exception(OSError("the proxy's answer is too long"))

    @property
    def rest(self) -> bytes:
        """What came behind the head of its answer: some hosts speak first."""
        return self._head.partition(b"\r\n\r\n")[2]

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.status.done():
            self.status.set_exception(OSError("the proxy closed the connection"))
