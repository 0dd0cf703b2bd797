"""Names that move, such as branches: each is resolved to a commit once for its whole scope, and again when that is stale."""

import asyncio
import json
import logging
import time
from dataclasses import replace

from dataset_mirror.errors import MirrorError
from dataset_mirror.fetch.reply import Broken, Reply
from dataset_mirror.fetch.scopes import Knowledge, scope_of
from dataset_mirror.fetch.upstream import Upstream
from dataset_mirror.origins.asked import PLAIN, Asked
from dataset_mirror.origins.model import Origin
from dataset_mirror.origins.rules import Matched, Ref
from dataset_mirror.store.knowledge import Fact

log = logging.getLogger(__name__)

RETRY_SECONDS = 30.0
"""How long nobody is asked again after a name could not be resolved."""
_LONGEST = 16 * 1024 * 1024
"""Bytes of a JSON answer that are read for a commit."""


class Refs:
    """Which commit each name means. One request at a time asks for each, all others wait for its answer."""

    def __init__(self, upstream: Upstream, knowledge: Knowledge) -> None:
        self._upstream, self._knowledge = upstream, knowledge
        self._asking: dict[str, asyncio.Task[str | None]] = {}
        self._failed: dict[str, float] = {}

    async def commit(self, what: Asked, origin: Origin, authorization: str | None, *, offline: bool) -> str | None:
        """The commit that the name in a request means now, as of its rule's freshness; None if the origin names none.

        The origin is asked without `authorization` first, and with it if it refuses that. Of one that fails, or while `offline`,
        the last that is known.
        """
        if what.matched is None or what.matched.rule.ref is None or (name := what.matched.ref) is None:
            return None
        about = f"{scope_of(what)}@{name}"
        known = self._knowledge.of("ref", about)
        if offline or (known and known.age(time.time()) < origin.lifetime(what.archive.path)):
            return known.commit if known else None
        once = f"{about} {authorization is not None}"
        if time.monotonic() - self._failed.get(once, -RETRY_SECONDS) < RETRY_SECONDS:
            return known.commit if known else None
        found = await asyncio.shield(self._ask_once(once, about, what, origin, authorization))
        return found or (known.commit if known else None)

    def _ask_once(self, once: str, about: str, what: Asked, origin: Origin, authorization: str | None) -> asyncio.Task[str | None]:
        if once not in self._asking:
            task = self._asking[once] = asyncio.create_task(self._ask(once, about, what, origin, authorization))
            task.add_done_callback(lambda _: self._asking.pop(once))
        return self._asking[once]

    async def _ask(self, once: str, about: str, what: Asked, origin: Origin, authorization: str | None) -> str | None:
        assert what.matched is not None
        assert what.matched.rule.ref is not None
        ref = what.matched.rule.ref
        try:
            question = _question(what, what.matched, ref)
            commit = await self._named(question, origin, ref)
            if commit is None and authorization is not None:
                commit = await self._named(question.by(authorization), origin, ref)
        except (Broken, MirrorError) as error:
            log.info("%s could not be resolved: %s", about, error)
            commit = None
        if commit is None:
            self._failed = {name: at for name, at in self._failed.items() if time.monotonic() - at < RETRY_SECONDS}
            self._failed[once] = time.monotonic()
            return None
        before = self._knowledge.of("ref", about)
        if before and before.commit != commit:
            log.info("%s moved from %s to %s.", about, before.commit[:12], commit[:12])
        await self._knowledge.keep(Fact("ref", about, scope_of(what), time.time(), commit))
        return commit

    async def _named(self, what: Asked, origin: Origin, ref: Ref) -> str | None:
        method = "HEAD" if ref.field else "GET"
        reply = await self._upstream.ask(origin, what.target, method=method, question=what.question)
        try:
            found = dict(reply.fields) | dict(reply.hop)
            value = found.get(ref.field) if ref.field else await _in_json(reply, ref.json_key or "")
        finally:
            await reply.close()
        return value if isinstance(value, str) and value.isalnum() and len(value) <= 128 else None


def _question(what: Asked, matched: Matched, ref: Ref) -> Asked:
    """What is asked to learn of the commit: the path that the rule names, or the one that is asked for; never by POST."""
    target = replace(what.target, path=matched.filled(ref.ask), query="") if ref.ask else what.target
    return replace(what, target=target, question=PLAIN)


async def _in_json(reply: Reply, key: str) -> object:
    if reply.status != 200 or reply.encoding:
        return None
    try:
        known = json.loads(await reply.start(_LONGEST))
    except (ValueError, RecursionError):
        return None
    return known.get(key) if isinstance(known, dict) else None
