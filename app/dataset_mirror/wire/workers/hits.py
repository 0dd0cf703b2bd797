"""What a worker answers by itself: plain hits. All else is the filling process', to whom it goes as it came."""

import time
from collections import OrderedDict
from collections.abc import Callable

from dataset_mirror.fetch.fill import Fill
from dataset_mirror.mirror import Mirror
from dataset_mirror.origins.asked import Asked
from dataset_mirror.origins.identity import ArchiveId
from dataset_mirror.serve.asgi import App, Receive, Request, Scope, Send
from dataset_mirror.serve.gateway import Gateway
from dataset_mirror.serve.observed import observed
from dataset_mirror.settings import Configuration
from dataset_mirror.store.record import Record
from dataset_mirror.store.store import Store

_AGAIN_SECONDS = 1.0
"""How long a worker is silent of a stale archive that it has told of."""


class HitsOnly(Mirror):
    """A mirror that only reads. It fetches nothing and checks nothing, but tells the filling process what is stale."""

    def __init__(self, configuration: Configuration, store: Store, tell_stale: Callable[[ArchiveId], None]) -> None:
        super().__init__(configuration, store)
        self._tell_stale = tell_stale
        self._told_stale: OrderedDict[ArchiveId, float] = OrderedDict()
        """Since when, those of late; the first one longest ago."""

    def _opened(self) -> None:
        """What several mirrors share is the filling process' to know."""

    def _check(self, record: Record, what: Asked | None = None) -> Fill | None:
        now = time.monotonic()
        while self._told_stale and now - next(iter(self._told_stale.values())) >= _AGAIN_SECONDS:
            self._told_stale.popitem(last=False)
        if record.archive not in self._told_stale and not self.settings.offline and self._freshness(record).is_stale:
            self._told_stale[record.archive] = now
            self._tell_stale(record.archive)
        return None


def answering(mirror: Mirror, gateway: Gateway, far: App) -> App:
    """The app of a worker; `far` is that of the filling process."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        request = Request.of(scope)
        # An index that was opened for reading, because its disk is full, may be a copy that never changes.
        found = gateway.stored(request) if mirror.store.index.why_read_only is None else None
        if found is None:
            return await far(scope, receive, send)

        async def stored(scope: Scope, receive: Receive, send: Send) -> None:
            await gateway.answer_stored(found, request, scope, receive, send)

        await observed(mirror, stored)(scope, receive, send)

    return app
