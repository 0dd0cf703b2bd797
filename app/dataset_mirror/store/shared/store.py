"""One mirror's part in a store that several share: everything here runs in one thread of its own, and none of it is needed for a hit."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from importlib.metadata import version
from typing import TypeVar

from sqlalchemy.exc import DatabaseError

from dataset_mirror.errors import MirrorError, UsageError
from dataset_mirror.origins import sharing
from dataset_mirror.origins.identity import ArchiveId
from dataset_mirror.rules.secrets import without_secrets
from dataset_mirror.store.record import Record
from dataset_mirror.store.shared.answers import Answer, Held, Known, Peer, Taken
from dataset_mirror.store.shared.bucket import Bucket, BucketFails
from dataset_mirror.store.shared.catalogue import Catalogue
from dataset_mirror.store.shared.database import Database, Session, Unavailable
from dataset_mirror.store.shared.elsewhere import Elsewhere, Everywhere
from dataset_mirror.store.shared.feed import Feed
from dataset_mirror.store.shared.life import Life, peers
from dataset_mirror.store.shared.replicator import Replicator
from dataset_mirror.store.shared.sweeper import Sweeper
from dataset_mirror.store.shared.thread import OwnThread, beside
from dataset_mirror.store.store import Store

log = logging.getLogger(__name__)
T = TypeVar("T")

_START_SECONDS = 5.0
_AGAIN_SECONDS = 10.0
"""Until a part that failed begins again."""
_SIGNED_SECONDS = 1800.0
"""How long a signed URL is used again."""
_LAST_SECONDS = 5.0
"""What is in the outbox when the mirror is stopped has so long to leave."""


class SharedStore:
    """Asked by fills for what is not here; told by the local store what is new here."""

    def __init__(
        self,
        store: Store,
        places: tuple[str, sharing.Bucket],
        *,
        required: bool,
        url: Callable[[str], str],
        state: Callable[[], Mapping[str, object]],
        told: Callable[[str], None],
    ) -> None:
        """`url`: at which others reach this mirror, by the address that it reaches the database with, empty if at none; `state`: what
        they are told of it; `told` is called, in another thread, with each archive that another mirror published and is not here.

        UsageError if the bucket cannot be meant.
        """
        database_url, known = places
        self._required, self._url, self._store = required, url, store
        self._at = Database(database_url, "dataset-mirror")
        self.tokens: dict[str, int] = {}
        """The leases of what this mirror fetches, or has fetched and not told of yet, by archive."""
        self.taken_over = 0
        """Leases that it took over from mirrors that had died, since the start."""
        self._own: OwnThread | None = None
        """From `start` on."""
        self._only_asks = False
        try:
            self.bucket = Bucket(known)
        except BucketFails as error:
            raise UsageError(f"The bucket {known.url} cannot be used: {error}.", "Check `bucket`.") from None
        self.life = Life(self._at, f"dataset-mirror/{version('dataset-mirror')}", url, self._with_outbox(state))
        self._catalogue = Catalogue(self.life.id)
        self.replicator = Replicator(store, self._at, self.bucket, self._catalogue, self.life, self.tokens)
        self.feed = Feed(store, self._at, self._catalogue, self.life, told)
        self.sweeper = Sweeper(self._at, self.bucket, self.life)
        self._signed: dict[str, tuple[float, str]] = {}
        self._running: list[asyncio.Task[None]] = []

    def _with_outbox(self, state: Callable[[], Mapping[str, object]]) -> Callable[[], Mapping[str, object]]:
        return lambda: {**state(), "outbox": self.replicator.waiting}

    # Its life

    async def start(self) -> None:
        """Joins the others; if database or bucket are away it logs that and goes on alone, or raises UsageError if both are required."""
        self._own = OwnThread("shared")
        self._own.start()
        troubles = await self._own.call(self._started())
        for trouble in troubles:
            if self._required:
                await self.stop()
                raise UsageError(trouble, "Correct it, or take `require_shared` away to go on alone meanwhile.")
            log.warning("%s The mirror goes on alone until it is there.", trouble)

    async def _started(self) -> list[str]:
        troubles = []
        try:
            async with asyncio.timeout(_START_SECONDS):
                await self.life.join()
        except (Unavailable, TimeoutError) as error:
            why = str(error) or f"it did not answer within {_START_SECONDS:.0f} s"
            self.life.why = why
            troubles.append(f"The shared database cannot be used: {without_secrets(why)}.")
        checking = asyncio.ensure_future(beside(self.bucket.check))
        try:
            await asyncio.wait_for(asyncio.shield(checking), _START_SECONDS)
        except (BucketFails, TimeoutError) as error:
            checking.add_done_callback(lambda task: task.cancelled() or task.exception())
            troubles.append(f"The bucket {self.bucket.url} cannot be used: {str(error) or 'it does not answer'}.")
        if not (troubles and self._required):
            parts = (self.life.live, self.replicator.run, self.feed.run, self.sweeper.run)
            self._running = [asyncio.ensure_future(self._again_and_again(each)) for each in parts]
        return troubles

    async def _again_and_again(self, part: Callable[[], Awaitable[None]]) -> None:
        """Runs a part for ever. What goes wrong is logged, and it begins again after a while: a full disk may have room by then."""
        said = ""
        while True:
            try:
                await part()
            except (MirrorError, DatabaseError) as error:
                if str(error) != said:
                    log.warning("A part of the shared store waits: %s", error)
                said = str(error)
            except Exception:
                log.exception("A part of the shared store failed; it begins again in %.0f s.", _AGAIN_SECONDS)
            await asyncio.sleep(_AGAIN_SECONDS)

    async def stop(self) -> None:
        """Tells what is still to be told, as far as that is quick, gives leases back, and leaves."""
        if self._own is None:
            return
        own, self._own = self._own, None
        await own.call(self._stopped())
        await asyncio.to_thread(own.close)

    async def _stopped(self) -> None:
        if self.life.is_joined and self._running:
            with suppress(TimeoutError, Unavailable):
                async with asyncio.timeout(_LAST_SECONDS):
                    while await self.replicator.round():
                        pass
        for task in self._running:
            task.cancel()
        if self._running:
            await asyncio.wait(self._running)
        if self.life.is_joined:
            await self.life.leave()
        await self._at.forget()

    # Questions of people and their commands

    @contextmanager
    def asking(self) -> Iterator[None]:
        """Questions only, of a command without a server: it does not join the others."""
        self._own, self._only_asks = OwnThread("shared"), True
        self._own.start()
        try:
            yield
        finally:
            own, self._own = self._own, None
            own.submit(self._at.forget()).result()
            own.close()

    def everywhere(self) -> Everywhere:
        """What is here, and what only the bucket has, as one list."""
        return Everywhere(self._store.index, Elsewhere(self._store.index, self._catalogue, self._asked_from_a_thread, self.bucket))

    def _asked_from_a_thread(self, question: Callable[[Session], Awaitable[T]]) -> T:
        if (own := self._asked_in()) is None:
            raise Unavailable(self.life.why or "this mirror is not joined to the others")
        return own.submit(self._answered(question)).result()

    def _asked_in(self) -> OwnThread | None:
        """The thread that answers questions; None if there is no database to be asked."""
        return self._own if self.life.is_joined or self._only_asks else None

    async def _answered(self, question: Callable[[Session], Awaitable[T]]) -> T:
        async with self._at.session() as session:
            return await question(session)

    async def versions(self, archives: Iterable[ArchiveId]) -> list[Record] | None:
        """All that is known to all of some archives; None if the database is away."""
        found = await self._ask(lambda session: self._catalogue.versions(session, map(str, archives)))
        return None if found is None else [record for versions in found.values() for record, _ in versions]

    # Questions of fills: each is answered within a few seconds, with None if the database is away

    @property
    def may_be_followed(self) -> bool:
        """Whether others reach this mirror: only then does it take leases."""
        return bool(self._url("127.0.0.1"))

    async def look(self, archive: ArchiveId, *, bucket: bool, goes_first: bool) -> Answer | None:
        """Where an archive comes from that is not here; a lease is in `tokens` from then on."""
        answer = await self._ask(lambda session: self._catalogue.look(session, str(archive), bucket=bucket, goes_first=goes_first))
        if isinstance(answer, Taken):
            self.tokens[str(archive)] = answer.token
            self.taken_over += answer.taken_over
        return answer

    async def find(self, archive: ArchiveId) -> Known | Held | None:
        """The same, without taking a lease."""

        async def asked(session: Session) -> Known | Held | None:
            key = str(archive)
            return await self._catalogue.find(session, key) or await self._catalogue.holder(session, key)

        return await self._ask(asked)

    async def lives(self, mirror: str) -> bool | None:
        """Whether another mirror gives signs of life; None if nobody knows."""
        return await self._ask(lambda session: self._catalogue.lives(session, mirror))

    async def spoil(self, name: str) -> None:
        """Gives up an object that is damaged or missing: from now on nobody is sent to it."""
        log.error("The object %s of the bucket is damaged or lost: it is not used any more.", name)
        await self._ask(lambda session: self._catalogue.spoil(session, name))

    async def give_back(self, archive: ArchiveId) -> None:
        """The lease of an archive that this mirror could not fetch, or that is known to all already."""
        token = self.tokens.pop(str(archive), None)
        if token is not None:
            await self._ask(lambda session: self._catalogue.release(session, str(archive), token))

    async def peers(self) -> list[Peer] | None:
        """All mirrors of late, this one too."""
        return await self._ask(peers)

    async def over(self, archive: ArchiveId) -> None:
        """A fill is over: what it published is told to all, and until then it is followed here; without that its lease goes back."""
        try:
            is_waiting = await self._store.in_worker(lambda: self._store.index.is_in_outbox(archive))
        except (MirrorError, DatabaseError) as error:  # the store has said it
            log.debug("It is not known whether %s is to be told of: %s", archive, error)
            is_waiting = False
        if is_waiting:
            self.wake()
        else:
            await self.give_back(archive)

    async def signed(self, name: str) -> str | None:
        """A URL at which an object can be read; None if the bucket's keys cannot be had."""
        at, url = self._signed.get(name, (0.0, ""))
        if time.monotonic() - at > _SIGNED_SECONDS or not url:
            try:
                url = await beside(partial(self.bucket.url_of, name))
            except BucketFails as error:
                log.warning("The bucket cannot be asked: %s.", error)
                return None
            self._signed = {key: value for key, value in self._signed.items() if time.monotonic() - value[0] < _SIGNED_SECONDS}
            self._signed[name] = (time.monotonic(), url)
        return url

    def wake(self) -> None:
        """There is something new in the outbox."""
        if self._own:
            self._own.loop.call_soon_threadsafe(self.replicator.wake)

    async def _ask(self, question: Callable[[Session], Awaitable[T]]) -> T | None:
        if (own := self._asked_in()) is None:
            return None

        async def asked() -> T | None:
            try:
                return await self._answered(question)
            except Unavailable as error:
                log.info("The shared database did not answer: %s.", error)
                return None

        return await own.call(asked())
