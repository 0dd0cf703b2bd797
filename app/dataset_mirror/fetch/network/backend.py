"""The way that httpcore makes connections here: names are resolved and *all* their addresses checked before any is connected to.

Resolving first and putting the IP address into the URL would be unsafe: the connection pool is keyed by what the URL names,
and would reuse a connection that was verified for one host name for another one at the same address.
"""

import asyncio
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import httpcore

from dataset_mirror.fetch.addresses import check_global
from dataset_mirror.fetch.network.connecting import connected
from dataset_mirror.fetch.network.names import addresses_of
from dataset_mirror.fetch.network.spare import Spare
from dataset_mirror.fetch.network.stream import Stream

PrivateAllowed = Callable[[str], bool]
"""Whether a host's addresses may be others than public ones."""


class Backend(httpcore.AsyncNetworkBackend):
    """Resolves, checks, connects: within one timeout, however many addresses there are."""

    def __init__(self, may_be_private: PrivateAllowed, spare: Spare | None = None) -> None:
        """`spare`: keeps connections whose bodies were read past httpcore; without it none is."""
        self._may_be_private, self._spare = may_be_private, spare

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """NotAllowed if one of the host's addresses may not be asked."""
        if self._spare and (spare := self._spare.take((host, port))):
            return spare
        try:
            async with asyncio.timeout(timeout):
                addresses = await self._resolved(host)
                connection = await connected(addresses, port, socket_options or ())
        except TimeoutError:
            raise httpcore.ConnectTimeout(f"{host} did not accept a connection in time") from None
        except OSError as error:
            raise httpcore.ConnectError(error.strerror or str(error)) from error
        return Stream(connection, partial(self._spare.keep, (host, port)) if self._spare else None)

    async def _resolved(self, host: str) -> list[str]:
        try:
            addresses = await addresses_of(host)
        except OSError as error:
            raise httpcore.ConnectError(f"the name {host} cannot be resolved ({error.strerror or error})") from None
        if not self._may_be_private(host):
            check_global(host, addresses)
        return addresses

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
