"""Several mirrors, one store: where the bytes of an archive come from that is not here.

From the bucket, if all know it; from the mirror that fetches it at the moment; else from the origin, and then this mirror has the
lease, so that all others come to it. Whoever dies, the fill goes on with the next of these at its missing bytes. Without the
database it is as if this mirror were alone.
"""

import asyncio
import logging
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal

from dataset_mirror.errors import MirrorError
from dataset_mirror.fetch.cause import request_id
from dataset_mirror.fetch.following import FOLLOW, REQUEST_ID, shared_by
from dataset_mirror.fetch.job import Job
from dataset_mirror.fetch.redirects import place_of
from dataset_mirror.fetch.reply import Broken, Reply, Shared
from dataset_mirror.fetch.retry import ENDLESS, Patience
from dataset_mirror.fetch.source import OriginSource
from dataset_mirror.fetch.upstream import FieldsFor, no_fields
from dataset_mirror.store.record import Record
from dataset_mirror.store.shared.answers import Answer, Held, Known, Orphaned

if TYPE_CHECKING:
    from dataset_mirror.store.shared.store import SharedStore

log = logging.getLogger(__name__)

BEHIND = 0.3
"""Seconds that whoever has no bytes leaves those who have some, when the mirror that they followed has died."""
WATCH = 1.0
"""Seconds between looks at whether the mirror that is followed lives."""
UNREACHABLE = 3.0
"""Seconds after which a mirror that lives, and cannot be reached from here, is not waited for."""
BUCKET_TRIES = 2
BUCKET_SECONDS = 0.5
"""What breaks within so many seconds, on however many connections, is one failure."""
_BUCKET_CONNECTIONS = 4
Place = Literal["origin", "bucket", "mirror"]


@dataclass(slots=True)
class SharedSource:
    """One archive in the shared store, or at its origin."""

    origin: OriginSource
    store: "SharedStore"
    job: Job
    at: Place = "origin"
    """Where the last answer came from."""
    _known: Known | None = None
    _bucket_failures: int = 0
    _bucket_failed_at: float = 0.0
    _unreachable_since: float | None = None
    _alone: bool = False
    """It goes on without the others: nobody knows who fetches it, or that one cannot be reached."""
    _goes_first: bool = False
    """Whether it takes the place of a mirror that died at once."""
    _watching: set[asyncio.Task[None]] = field(default_factory=set)

    @property
    def url(self) -> str:
        return self.origin.url

    @property
    def authority(self) -> str:
        return self.origin.authority

    @property
    def connections(self) -> int:
        return {"bucket": max(_BUCKET_CONNECTIONS, self.origin.connections), "mirror": 1}.get(self.at, self.origin.connections)

    @property
    def private(self) -> bool:
        return self.origin.private

    @property
    def has_one_place(self) -> bool:
        return {"bucket": True, "mirror": False}.get(self.at, self.origin.has_one_place)

    @property
    def is_near(self) -> bool:
        return self.at == "bucket"

    def failed(self, place: str, why: str) -> None:
        if self.at == "origin":
            self.origin.failed(place, why)
        elif self.at == "bucket":
            self._count_failure()

    async def distrust(self) -> None:
        if self.at == "bucket" and self._known:
            await self.store.spoil(self._known.object)
        self._known, self._bucket_failures = None, BUCKET_TRIES
        self._alone |= self.at == "mirror"

    async def ended(self, record: Record | None) -> None:
        for task in self._watching:
            task.cancel()
        await self.store.over(self.job.archive)

    async def ask(self, fields: FieldsFor = no_fields, *, method: str = "GET", first: str = "", patience: Patience = ENDLESS) -> Reply:
        if method != "GET" or self.job.archive.variant or self.job.asked.asks_first:
            return await self.origin.ask(fields, method=method, first=first, patience=patience)
        goes_on = "range" in fields(self.url)
        if goes_on and self.at == "bucket" and self.origin.upstream.is_offline:
            return await self._rest_from_bucket(fields, patience)
        self._goes_first |= goes_on
        if self.job.known:
            return await self._if_changed(fields, first, patience)
        return await self._from_the_next(fields, first, patience)

    async def _from_the_next(self, fields: FieldsFor, first: str, patience: Patience) -> Reply:
        """The answer of the first place that gives one."""
        while True:
            answer = await self._look()
            reply = None
            if isinstance(answer, Known):
                reply = await self._from_bucket(answer, fields, patience)
            elif isinstance(answer, Held):
                reply = await self._from_mirror(answer, fields, patience)
            elif isinstance(answer, Orphaned):
                await asyncio.sleep(BEHIND)
                self._goes_first = True
            else:
                return await self._from_origin(fields, first, patience)
            if reply is not None:
                return reply

    async def _look(self) -> Answer | None:
        """Who is to be asked; None is the origin."""
        if self._known and self._bucket_failures < BUCKET_TRIES:
            return self._known
        if self._alone or str(self.job.archive) in self.store.tokens:
            return None
        bucket = self._bucket_failures < BUCKET_TRIES
        if self._may_not_lease:
            answer = await self._found(bucket=bucket)
        else:
            answer = await self.store.look(self.job.archive, bucket=bucket, goes_first=self._goes_first)
        if isinstance(answer, Known) and not self._may_use(answer.record):
            self._alone = True
            return None
        self._known = answer if isinstance(answer, Known) else None
        return answer

    @property
    def _may_not_lease(self) -> bool:
        """Whether no other mirror may follow: nothing comes from an origin, or not for everybody, or nobody reaches this mirror."""
        return self.origin.upstream.is_offline or self._is_for_some or not self.store.may_be_followed

    @property
    def _is_for_some(self) -> bool:
        return self.job.restricted is not None or self.job.asked.question.authorization is not None

    async def _found(self, *, bucket: bool) -> Answer | None:
        found = await self.store.find(self.job.archive)
        if isinstance(found, Known):
            return found if bucket else None
        return None if self._is_for_some else found

    def _may_use(self, record: Record) -> bool:
        """Whether the bytes that all know may be those of this mirror: who may have them, and what its catalog expects."""
        if record.restricted not in (None, self.job.restricted) or (record.private and not self.job.private):
            return False
        expected = self.job.expected
        if expected is None:
            return True
        digests = [digest for digest in (record.sha256, record.md5) if digest]
        right = not expected.has_digest or any(digest in (*expected.sha256, *expected.md5) for digest in digests)
        return right and expected.size in (None, record.size)

    def _may_follow(self, shared: Shared) -> bool:
        return self._may_use(shared.record) if shared.record else self.job.private or not shared.private

    # The places

    async def _from_origin(self, fields: FieldsFor, first: str, patience: Patience) -> Reply:
        reply = await self.origin.ask(fields, first=first, patience=patience)
        self.at = "origin"
        return reply

    async def _from_bucket(self, known: Known, fields: FieldsFor, patience: Patience) -> Reply | None:
        """The bucket's answer; None if it has none that is right, and another place is to be asked."""
        url = await self.store.signed(known.object)
        if url is None:
            await self._without_bucket("it cannot be asked")
            return None
        try:
            wanted = {name: value for name, value in fields(place_of(url)).items() if name == "range"}
            reply = await self.origin.upstream.inside(url, wanted, patience)
        except (Broken, MirrorError) as error:
            await self._without_bucket(str(error))
            return None
        record = known.record
        if reply.status not in (200, 206) or (reply.status == 200 and reply.length != record.size):
            await reply.close()
            if reply.status == 404 or reply.status == 200:
                await self.store.spoil(known.object)
            await self._without_bucket(f"it answers {reply.status}")
            return None
        self.at = "bucket"
        shared = Shared(record.validators, record.fields, record.checked, record.fetched, record, kept=True)
        return replace(reply, shared=shared)

    async def _rest_from_bucket(self, fields: FieldsFor, patience: Patience) -> Reply:
        """Nobody else could go on: it is asked as often as whoever asks has the patience. Broken."""
        known = self._known or await self.store.find(self.job.archive)
        reply = None
        if isinstance(known, Known) and self._may_use(known.record):
            reply = await self._from_bucket(known, fields, patience)
        if reply is None:
            raise Broken("the bucket does not go on with it", reached=True)
        self._known = known if isinstance(known, Known) else None
        return reply

    def _count_failure(self) -> None:
        now = time.monotonic()
        if now - self._bucket_failed_at > BUCKET_SECONDS:
            self._bucket_failures += 1
            self._bucket_failed_at = now

    async def _without_bucket(self, why: str) -> None:
        self._count_failure()
        self._known = None
        log.info("The bucket does not send %s: %s.", self.url, why)
        if self._bucket_failures < BUCKET_TRIES:
            await asyncio.sleep(BUCKET_SECONDS)

    async def _from_mirror(self, held: Held, fields: FieldsFor, patience: Patience) -> Reply | None:
        """Another mirror's answer; None if it has none, and it is to be looked again."""
        if not held.url:
            self._not_reached()
            return None
        following = {FOLLOW: f"{held.token} {held.secret}", **fields(place_of(held.url))}
        if identity := request_id():
            following[REQUEST_ID] = identity
        url = f"{held.url}/{self.job.archive}"
        try:
            reply = await self.origin.upstream.inside(url, following, patience)
        except (Broken, MirrorError) as error:
            log.info("The mirror %s does not send %s: %s.", held.url, self.url, error)
            await asyncio.sleep(0.1)
            self._not_reached()
            return None
        shared = shared_by(reply)
        if reply.status not in (200, 206) or shared is None or not self._may_follow(shared):
            await reply.close()
            await asyncio.sleep(0.1)
            self._not_reached()
            return None
        self._unreachable_since = None
        self.at = "mirror"
        reply = replace(reply, shared=shared)
        self._watch(held, reply)
        return reply

    def _not_reached(self) -> None:
        now = time.monotonic()
        if self._unreachable_since is None:
            self._unreachable_since = now
        elif now - self._unreachable_since > UNREACHABLE:
            self._alone = True

    def _watch(self, held: Held, reply: Reply) -> None:
        task = asyncio.create_task(self._cut_if_dead(held, reply))
        self._watching.add(task)
        task.add_done_callback(self._watching.discard)

    async def _cut_if_dead(self, held: Held, reply: Reply) -> None:
        """A process that is stopped keeps its connections: nobody else would notice."""
        while not reply.response.is_closed:
            await asyncio.sleep(WATCH)
            if await self.store.lives(held.holder) is False:
                log.info("The mirror %s, which sent %s, gives no sign of life any more.", held.url, self.url)
                reply.cut()
                return

    # Checks

    async def _if_changed(self, fields: FieldsFor, first: str, patience: Patience) -> Reply:
        """Whether others have newer bytes; else the origin is asked whether it has others, and if so this mirror fetches them for all."""
        known = self.job.known
        assert known is not None
        found = None if self._alone else await self.store.find(self.job.archive)
        if isinstance(found, Known) and self._is_newer(found.record, known) and self._may_use(found.record):
            reply = await self._from_bucket(found, fields, patience)
            if reply is not None:
                self._known = found
                return reply
        reply = await self._from_origin(fields, first, patience)
        if reply.status != 200 or self._alone or self.store.tokens.get(str(known.archive)) or not self.store.may_be_followed:
            return reply
        answer = await self.store.look(self.job.archive, bucket=False, goes_first=True)
        if isinstance(answer, Held):
            other = await self._from_mirror(answer, fields, patience)
            if other is not None:
                await reply.close()
                return other
        return reply

    @staticmethod
    def _is_newer(record: Record, known: Record) -> bool:
        return record.sha256 != known.sha256 and record.fetched > known.fetched
