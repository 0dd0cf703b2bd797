"""What origins say of a scope, such as a repository, and of what is not in it: kept on disk, and known when nobody can be asked."""

import logging
import time
from collections.abc import Callable

from sqlalchemy.exc import DatabaseError

from dataset_mirror.errors import MirrorError, OriginSaysNo
from dataset_mirror.fetch.opening import refusal
from dataset_mirror.origins.asked import Asked
from dataset_mirror.store.knowledge import Fact, Kind
from dataset_mirror.store.store import Store

log = logging.getLogger(__name__)

ABSENT = (404, 410)
"""Statuses that say that there is nothing, whoever asks."""


def scope_of(what: Asked) -> str:
    """`HOST/SCOPE`; HOST alone if no rule names a scope."""
    scope = what.matched.scope if what.matched else None
    return f"{what.archive.authority}/{scope}" if scope else what.archive.authority


class Knowledge:
    """What is known without bytes; whatever cannot be written down is said in the log, and no more."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def of(self, kind: Kind, about: str) -> Fact | None:
        return self._store.index.known(kind, about)

    async def keep(self, fact: Fact) -> None:
        await self._written(lambda: self._store.know(fact), fact.about)

    async def forget(self, kind: Kind, about: str) -> None:
        await self._written(lambda: self._store.unknow(kind, about), about)

    async def _written(self, work: Callable[[], None], about: str) -> None:
        try:
            await self._store.in_worker(work)
        except (MirrorError, DatabaseError, OSError) as error:
            log.error("What the origin says of %s could not be recorded: %s.", about, error)

    # Refusals

    async def refused(self, what: Asked, error: OriginSaysNo) -> None:
        """The origin refused that; its 412 was about the request, not about what is there."""
        if error.status == 412:
            return
        said = str(error.facts.get("origin_said", ""))
        fields = tuple(error.headers.items())
        is_by_token = what.question.authorization is not None
        await self.keep(Fact("refusal", str(what.archive), scope_of(what), time.time(), "", error.status, fields, said, is_by_token))

    def absence(self, what: Asked, *, however_old: bool = False) -> MirrorError | None:
        """The refusal that still holds: at a path that never changes for good, else as long as what is there would be fresh.

        `however_old`: the last one, since nobody can be asked.
        """
        fact = self.of("refusal", str(what.archive))
        if fact is None or (fact.restricted and what.question.authorization is None and not however_old):
            return None
        if not however_old and (fact.status not in ABSENT or fact.age(time.time()) > _lifetime(what)):
            return None
        said = {"origin_said": fact.body} if fact.body else {}
        return refusal(fact.status, f"https://{what.archive}", fact.fields, **said)


def _lifetime(what: Asked) -> float:
    """Seconds for which a refusal holds; without a rule for the path none is believed longer than by those who just heard it.

    Nor is one of an object of Git LFS, which may be uploaded yet.
    """
    if what.matched and what.matched.is_object:
        return 0.0
    return (what.matched.rule.freshness if what.matched else 0.0) or 0.0
