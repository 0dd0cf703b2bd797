"""The HTTP clients that upstreams are asked with: one for each configuration, and one for mirrors and buckets that are shared."""

import logging
import ssl
from dataclasses import dataclass
from http.cookiejar import CookieJar, DefaultCookiePolicy
from ipaddress import ip_address
from urllib.parse import urlsplit

import httpx
import truststore

from dataset_mirror.fetch.network.ways import WayOut
from dataset_mirror.fetch.redirects import place_of
from dataset_mirror.origins.table import Origins
from dataset_mirror.settings import Configuration, Settings

log = logging.getLogger(__name__)

CONNECT_TIMEOUT = 5.0
"""Seconds; three tries before the first byte then stay within 15."""


@dataclass(frozen=True, slots=True, eq=False)
class _Client:
    """A client of httpx, the way that it goes, and the settings that it was made for."""

    settings: Settings
    way: WayOut
    asking: httpx.AsyncClient


class Clients:
    """One client for each configuration that was asked with and has something under way, and one for the inside."""

    def __init__(self, configuration: Configuration) -> None:
        self._configuration = configuration
        self._outside: list[_Client] = []
        self._inside: httpx.AsyncClient | None = None
        self._made()

    @property
    def present(self) -> httpx.AsyncClient:
        """The client for the present configuration; what is under way goes on over the connections that it has."""
        settings = self._configuration.settings
        present = (client.asking for client in self._outside if client.settings is settings)
        return next(present, None) or self._made()

    @property
    def inside(self) -> httpx.AsyncClient:
        """The one for other mirrors and for their bucket, wherever they are."""
        if self._inside is None:
            settings = self._configuration.settings
            way = WayOut(_tls(settings), lambda _: True, None, ())
            wait = httpx.Timeout(settings.idle_timeout, connect=CONNECT_TIMEOUT, pool=None)
            self._inside = httpx.AsyncClient(transport=way, timeout=wait, trust_env=False, follow_redirects=False)
        return self._inside

    async def leave_former(self) -> None:
        """Closes the connections for former configurations, but for those of a client that has something under way."""
        settings = self._configuration.settings
        former = [client for client in self._outside if client.settings is not settings and client.way.is_idle]
        self._outside = [client for client in self._outside if client not in former]
        for client in former:
            await client.asking.aclose()

    async def close(self) -> None:
        for client in [client.asking for client in self._outside] + ([self._inside] if self._inside else []):
            await client.aclose()

    def _made(self) -> httpx.AsyncClient:
        settings, origins = self._configuration.settings, self._configuration.origins
        named = {urlsplit(base.replace("{host}", host)).hostname for host, bases in settings.upstreams.items() for base in bases}
        private = {urlsplit(origin.url).hostname for origin in origins if origin.allow_private}
        way = WayOut(_tls(settings), lambda host: host in named | private, settings.upstream_proxy, settings.no_proxy)
        timeout = httpx.Timeout(settings.idle_timeout, connect=min(CONNECT_TIMEOUT, settings.idle_timeout), pool=None)
        no_cookies = CookieJar(DefaultCookiePolicy(allowed_domains=[]))  # else one archive's cookies would go with the next one
        client = httpx.AsyncClient(transport=way, cookies=no_cookies, timeout=timeout, trust_env=False, follow_redirects=False)
        self._outside.append(_Client(settings, way, client))
        _warn_of_plain_http(settings, origins)
        return client


def _tls(settings: Settings) -> ssl.SSLContext:
    if settings.ca_file:
        return ssl.create_default_context(cafile=settings.ca_file)
    return truststore.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


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
