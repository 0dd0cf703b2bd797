"""An upstream's answer: its head, its body still to come, and what it means that there is none."""

import os
import socket
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from dataclasses import dataclass

import httpcore
import httpx

from dataset_mirror.fetch.asking_back import is_page
from dataset_mirror.fetch.network.body import Remainder, remainder_of
from dataset_mirror.rules.codings import coding
from dataset_mirror.rules.conditions import Validators, date_is_strong
from dataset_mirror.rules.fields import Fields
from dataset_mirror.rules.freshness import initial_age
from dataset_mirror.store.record import Record

_FRAMING = frozenset(["content-length", "transfer-encoding", "content-range", "accept-ranges"])
"""What an answer of another mirror, or of the bucket, says of its own message; all else is what they know of the archive."""


class Broken(Exception):
    """The upstream could not be reached, fell silent or broke off; worth another try. The text says which."""

    def __init__(self, what: str, *, reached: bool) -> None:
        super().__init__(what)
        self.reached = reached
        """Whether an upstream answered at all."""


class ProxyRefuses(Broken):
    """The proxy on the way out wants other credentials; asking again does not help."""


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
    shared: Shared | None = None
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

    async def start(self, most: int) -> bytes:
        """The body, up to so many bytes of it. Broken if it stops before its end."""
        body = bytearray()
        async with aclosing(self.bytes()) as chunks:
            async for chunk in chunks:
                body += chunk
                if len(body) >= most:
                    break
        return bytes(body[:most])

    async def text(self, most: int) -> str:
        """The same as text."""
        return (await self.start(most)).decode("utf-8", "replace")

    async def bytes(self) -> AsyncGenerator[bytes, None]:
        """The body as it is on the wire. Broken if it stops before its end."""
        try:
            async for chunk in self.response.aiter_raw():
                yield chunk
        except httpx.HTTPError as error:
            raise self.broken(error) from error

    def remainder(self, seen: int) -> Remainder | None:
        """What comes after the `seen` bytes that `bytes` gave, to be read in its place; None if that has to go on."""
        if self.length is None or self.response.request.method != "GET":
            return None
        return remainder_of(self.response, self.length - seen)

    def broken(self, error: httpx.HTTPError) -> Broken:
        """What it means that the body stopped before its end."""
        return Broken(why_broken(error, self.place), reached=True)

    async def close(self) -> None:
        await self.response.aclose()

    def cut(self) -> None:
        """Breaks the connection beneath: whoever reads the body gets Broken at once."""
        stream = self.response.extensions.get("network_stream")
        connection = stream.get_extra_info("socket") if stream is not None else None
        if connection is not None:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


def _why(error: BaseException) -> str:
    """Why there is no connection: the system's own words, where asyncio has only the address."""
    cause: BaseException | None = error
    while cause and not isinstance(cause, OSError):
        cause = cause.__cause__ or cause.__context__
    if isinstance(cause, OSError) and cause.errno and "Connect call failed" in str(cause):
        return os.strerror(cause.errno)
    return str(error) or "no connection"


def why_broken(error: httpx.HTTPError, place: str) -> str:
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
