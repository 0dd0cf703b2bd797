"""Ways out: directly, over checked connections, or through the proxy."""

import ssl
from collections.abc import Sequence

import httpcore
import httpx

from dataset_mirror.fetch.network.backend import Backend, PrivateAllowed
from dataset_mirror.fetch.network.spare import Spare
from dataset_mirror.rules.no_proxy import bypasses

_KEPT, _KEPT_SECONDS = 64, 30.0
"""Idle connections that are kept, and for how long. How many are in use is limited elsewhere."""


class _Pooled(httpx.AsyncHTTPTransport):
    """httpx' transport, whose pool is replaced: it has no argument for one."""

    _pool: httpcore.AsyncConnectionPool | httpcore.AsyncHTTPProxy

    @property
    def is_idle(self) -> bool:
        """Whether none of its connections is in use."""
        return all(connection.is_idle() or connection.is_closed() for connection in self._pool.connections)


class Direct(_Pooled):
    """Over checked connections."""

    def __init__(self, context: ssl.SSLContext, may_be_private: PrivateAllowed) -> None:
        super().__init__(verify=context, trust_env=False)
        self._spare = Spare()
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=context,
            max_connections=None,
            max_keepalive_connections=_KEPT,
            keepalive_expiry=_KEPT_SECONDS,
            network_backend=Backend(may_be_private, self._spare),
        )

    async def aclose(self) -> None:
        await super().aclose()
        self._spare.close()


class Through(_Pooled):
    """Through a proxy, which resolves names itself: there the list of hosts is the guard, not their addresses."""

    def __init__(self, context: ssl.SSLContext, url: str) -> None:
        super().__init__(verify=context, trust_env=False)
        proxy = httpx.Proxy(url)
        self._pool = httpcore.AsyncHTTPProxy(
            httpcore.URL(scheme=proxy.url.raw_scheme, host=proxy.url.raw_host, port=proxy.url.port, target=proxy.url.raw_path),
            proxy_auth=proxy.raw_auth,
            ssl_context=context,
            proxy_ssl_context=context if proxy.url.scheme == "https" else None,
            max_connections=None,
            max_keepalive_connections=_KEPT,
            keepalive_expiry=_KEPT_SECONDS,
            network_backend=Backend(lambda _: True),
        )


class WayOut(httpx.AsyncBaseTransport):
    """Through the proxy, if there is one, but for what goes past it."""

    def __init__(self, context: ssl.SSLContext, may_be_private: PrivateAllowed, proxy: str | None, no_proxy: Sequence[str]) -> None:
        self._direct = Direct(context, may_be_private)
        self._through = Through(context, proxy) if proxy else None
        self._no_proxy = no_proxy

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if self._through and not _goes_past(request.url, self._no_proxy):
            return await self._through.handle_async_request(request)
        return await self._direct.handle_async_request(request)

    @property
    def is_idle(self) -> bool:
        """Whether no connection of it brings anything."""
        return all(way.is_idle for way in (self._direct, self._through) if way)

    async def aclose(self) -> None:
        await self._direct.aclose()
        if self._through:
            await self._through.aclose()


def is_proxied(url: httpx.URL, proxy: str | None, no_proxy: Sequence[str]) -> bool:
    """Whether a URL is asked for through the proxy."""
    return proxy is not None and not _goes_past(url, no_proxy)


def _goes_past(url: httpx.URL, no_proxy: Sequence[str]) -> bool:
    return bypasses(url.host, url.port or (443 if url.scheme == "https" else 80), no_proxy)
