"""Who may have what an origin gives to some only: it decides itself, by each client's own credentials.

What is at a path of a scope is restricted once the origin has refused it to somebody without credentials. Credentials are never
kept: who was let in lately is known by a keyed hash, in memory, and for some minutes.
"""

import hmac
import logging
import secrets
import time

from dataset_mirror.errors import MirrorError, Offline, OriginSaysNo, OriginUnreachable
from dataset_mirror.fetch.opening import judge
from dataset_mirror.fetch.reply import Broken, Reply
from dataset_mirror.fetch.scopes import Knowledge, scope_of
from dataset_mirror.fetch.source import OriginSource
from dataset_mirror.fetch.upstream import Upstream
from dataset_mirror.origins.asked import Asked
from dataset_mirror.origins.model import Origin
from dataset_mirror.store.knowledge import Fact
from dataset_mirror.store.record import Record

log = logging.getLogger(__name__)

LET_IN_SECONDS = 300.0
REFUSALS = (401, 403)
_NO_HEAD = (405, 501)
_MOST = 10_000


def gate_of(what: Asked) -> str:
    """What a permission is for: `HOST/SCOPE`, and the kind of path; a repository's description may be public, its files not."""
    return f"{scope_of(what)} {what.matched.pattern.text if what.matched else ''}"


class Gates:
    """Which paths are restricted, and who may have what is there."""

    def __init__(self, upstream: Upstream, knowledge: Knowledge) -> None:
        self._upstream, self._knowledge = upstream, knowledge
        self._key = secrets.token_bytes(32)
        self._let_in: dict[bytes, float] = {}

    def is_restricted(self, what: Asked, record: Record | None = None) -> bool:
        """Whether not everybody may have it; `record` is what is there, if anything is."""
        if what.matched is None or not what.matched.rule.gated:
            return False
        return bool(record and record.restricted) or self._knowledge.of("restricted", gate_of(what)) is not None

    async def mark(self, what: Asked) -> None:
        """The origin refused it to somebody without credentials."""
        log.info("%s is gated: its origin decides who gets it.", scope_of(what))
        await self._knowledge.keep(Fact("restricted", gate_of(what), scope_of(what), time.time()))

    async def admitted(self, what: Asked, authorization: str | None, origin: Origin) -> Asked:
        """The request as it may be answered, with the credentials that let it in. OriginSaysNo, Offline or OriginUnreachable."""
        if authorization is None:
            await self._ask(what, origin)
            await self._knowledge.forget("restricted", gate_of(what))
            return what
        permitted, key = what.by(authorization), self._hash(what, authorization)
        if self._let_in.get(key, 0.0) < time.monotonic():
            await self._ask(permitted, origin)
            self._remember(key)
        return permitted

    def _hash(self, what: Asked, authorization: str) -> bytes:
        return hmac.digest(self._key, f"{gate_of(what)}\n{authorization}".encode(), "sha256")

    def _remember(self, key: bytes) -> None:
        now = time.monotonic()
        if len(self._let_in) >= _MOST:
            self._let_in = {known: until for known, until in self._let_in.items() if until > now}
        self._let_in[key] = now + LET_IN_SECONDS

    async def _ask(self, what: Asked, origin: Origin) -> None:
        """Returns if the origin would send it to this client; raises its refusal, or why it does not answer."""
        source = OriginSource.of(self._upstream, origin, what)
        try:
            reply = await self._answer(source, what)
        except Broken as error:
            raise OriginUnreachable(f"Whether this client may have {source.url} cannot be asked: {error}.", "Ask again later.") from None
        try:
            if reply.status < 400 or reply.status == 416:
                return
            raise (await judge(reply, source.url, quoted=what.question.authorization is None)).error
        finally:
            await reply.close()

    async def _answer(self, source: OriginSource, what: Asked) -> Reply:
        if what.question.body is not None:
            return await source.ask(lambda _: {"range": "bytes=0-0"})  # a POST leads to bytes, of which one is enough
        reply = await source.ask(method="HEAD")
        if reply.status in _NO_HEAD:
            await reply.close()
            reply = await source.ask()
        return reply


def is_refusal(error: MirrorError) -> bool:
    """Whether credentials might help."""
    return isinstance(error, OriginSaysNo) and error.status in REFUSALS


def refused_offline(what: Asked, origin: Origin) -> Offline:
    """Nobody can say who may have it."""
    return Offline(
        f"The mirror is offline, and {origin.url_of(what.archive)} is only for clients that its origin admits.",
        f'To let this origin\'s `readers` have it, write offline_gated = "readers" into the block of {origin.url} in mirror.toml.',
    )
