"""Addresses are checked where the connection is made.

Resolving first and putting the IP address into the URL would be unsafe: the connection pool is keyed by what the URL names,
and would reuse a connection that was verified for one host name for another one at the same address.
"""

import asyncio
import socket
import ssl
from collections.abc import Callable, Iterable
from concurrent.futures import Executor
from functools import partial
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from typing import Any

import httpcore
import httpx

from dataset_mirror.errors import NotAllowed

_UNICAST = IPv6Network("2000::/3")
"""All that is public of IPv6 (RFC 4291 2.4). Python calls NAT64, IPv4-compatible, translated and site-local addresses global, too."""
_TRANSLATED = IPv6Network("2002::/16")
"""6to4, inside of it, leads to IPv4 addresses of anybody's choice."""

_READ = 1024 * 1024
"""Bytes that are taken from a connection at once, if they are there."""


def is_global(address: str) -> bool:
    """Whether an IP address is one of the public internet, after unwrapping IPv4-mapped ones."""
    parsed: IPv4Address | IPv6Address = ip_address(address.partition("%")[0])
    if isinstance(parsed, IPv6Address) and parsed.ipv4_mapped:
        parsed = parsed.ipv4_mapped
    if isinstance(parsed, IPv6Address) and (parsed not in _UNICAST or parsed in _TRANSLATED):
        return False
    return parsed.is_global and not parsed.is_multicast


async def addresses_of(host: str, port: int, executor: Executor | None = None) -> list[str]:
    """All addresses of a name, asked for in a thread of `executor`. OSError if it has none."""
    ask = partial(socket.getaddrinfo, host, port, type=socket.SOCK_STREAM)
    answers = await asyncio.get_running_loop().run_in_executor(executor, ask)
    return list(dict.fromkeys(str(answer[4][0]) for answer in answers))


def check_global(host: str, addresses: Iterable[str]) -> None:
    """NotAllowed if any of an origin's addresses is not global."""
    refused = [address for address in addresses if not is_global(address)]
    if refused:
        raise NotAllowed(
            f"{host} resolves to {refused[0]}, which is not an address of the public internet.",
            f'If that is right, write allow_private = true into the [[origins]] block of "{host}" in mirror.toml.',
        )


class CheckedBackend(httpcore.AsyncNetworkBackend):
    """Resolves a name, checks *all* its addresses, and connects to a checked one."""

    def __init__(self, may_be_private: Callable[[str], bool]) -> None:
        self._may_be_private = may_be_private
        self._backend = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """A connection to `host`; httpcore.ConnectError if none can be made, NotAllowed if an address is not global."""
        try:
            async with asyncio.timeout(timeout):
                addresses = await self._resolve(host, port)
        except TimeoutError:
            raise httpcore.ConnectTimeout(f"the name {host} was not resolved in time") from None
        failure: httpcore.NetworkError | httpcore.TimeoutException = httpcore.ConnectError(f"{host} has no address")
        for address in addresses:
            try:
                return _Stream(await self._backend.connect_tcp(address, port, timeout, local_address, socket_options))
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
        raise failure

    async def _resolve(self, host: str, port: int) -> list[str]:
        try:
            addresses = await addresses_of(host, port)
        except OSError as error:
            raise httpcore.ConnectError(f"the name {host} cannot be resolved ({error.strerror})") from None
        if not self._may_be_private(host):
            check_global(host, addresses)
        return addresses

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class _Stream(httpcore.AsyncNetworkStream):
    """A connection that gives what has arrived in larger parts than it is asked for: each costs a way through all layers."""

    def __init__(self, stream: httpcore.AsyncNetworkStream) -> None:
        self._stream = stream

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return await self._stream.read(max(max_bytes, _READ), timeout)

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        await self._stream.write(buffer, timeout)

    async def aclose(self) -> None:
        await self._stream.aclose()

    async def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.AsyncNetworkStream:
        return _Stream(await self._stream.start_tls(ssl_context, server_hostname, timeout))

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


class CheckedTransport(httpx.AsyncHTTPTransport):
    """httpx' transport over checked connections. It replaces the pool, for which httpx has no argument."""

    def __init__(self, context: ssl.SSLContext, may_be_private: Callable[[str], bool]) -> None:
        super().__init__(verify=context, trust_env=False)
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=context,
            max_connections=None,
            max_keepalive_connections=64,
            keepalive_expiry=30,
            network_backend=CheckedBackend(may_be_private),
        )
