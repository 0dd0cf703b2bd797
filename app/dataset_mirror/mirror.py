"""The heart: resolve → look up → have it? serve it. Missing? join the fill, or start one."""

import asyncio
import logging
import math
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, BinaryIO, TypeVar

from anyio.lowlevel import checkpoint

from dataset_mirror.errors import IndexDamaged, MirrorError, OriginSaysNo, OriginUnreachable, StoreFull, UsageError
from dataset_mirror.fetch.absences import Absences
from dataset_mirror.fetch.cause import because
from dataset_mirror.fetch.checks import Checks
from dataset_mirror.fetch.confirm import HEAD_REFUSED
from dataset_mirror.fetch.edition import Edition
from dataset_mirror.fetch.eviction import Eviction
from dataset_mirror.fetch.fill import Fill
from dataset_mirror.fetch.flights import Flights
from dataset_mirror.fetch.gates import Gates, gate_of, is_refusal, refused_offline
from dataset_mirror.fetch.job import Job
from dataset_mirror.fetch.misses import Misses
from dataset_mirror.fetch.opening import PASSED_ON, judge
from dataset_mirror.fetch.others import Nobody, Others
from dataset_mirror.fetch.promises import Promises
from dataset_mirror.fetch.reading import Reading
from dataset_mirror.fetch.recent import Recent
from dataset_mirror.fetch.refs import Refs
from dataset_mirror.fetch.reply import Broken, Reply
from dataset_mirror.fetch.source import OriginSource
from dataset_mirror.fetch.tail import Tail
from dataset_mirror.fetch.traffic import Traffic
from dataset_mirror.fetch.unlisted import Unlisted
from dataset_mirror.fetch.upstream import Upstream
from dataset_mirror.origins.ahead import rate_at
from dataset_mirror.origins.asked import Asked, asked
from dataset_mirror.origins.identity import ArchiveId, parse_url
from dataset_mirror.origins.meaning import Meaning
from dataset_mirror.origins.model import Origin
from dataset_mirror.origins.table import Origins
from dataset_mirror.rules.fields import Fields
from dataset_mirror.rules.freshness import Freshness
from dataset_mirror.settings import Configuration, Settings, sharing
from dataset_mirror.store.listing import Lister
from dataset_mirror.store.record import Record, archive_of
from dataset_mirror.store.repositories import Listings, is_pinned
from dataset_mirror.store.store import Store
from dataset_mirror.store.usage import Usage

if TYPE_CHECKING:
    from dataset_mirror.store.shared.store import SharedStore

log = logging.getLogger(__name__)
T = TypeVar("T")

FLUSH_SECONDS = 5.0
_REMEMBERED = 10_000
"""URLs with secrets whose secrets are known in memory."""


@dataclass(frozen=True, slots=True)
class Hit:
    """An archive that is there, its blob opened; whoever gets it closes `file`."""

    record: Record
    file: BinaryIO


class Mirror:
    """Everything that a running mirror does, without HTTP servers and without FastAPI."""

    def __init__(self, configuration: Configuration, store: Store, tail: Tail | None = None) -> None:
        self.configuration = configuration
        self.store = store
        self.began = time.time()
        self.upstream = Upstream(configuration)
        self.recent = Recent()
        self.tail = tail or Tail(configuration.secrets)
        self.usage = Usage(store, self.dataset_of, lambda: self.recent.news(self.settings.anonymise_clients))
        self.traffic = Traffic(self.usage)
        self.traffic.throttle.all.limit = lambda: rate_at(self.settings.rate_limit, datetime.now())
        self.look_again = asyncio.Event()
        """Set when pins or schedules may have changed."""
        self.elsewhere: dict[str, tuple[ArchiveId, ...]] = {}
        """What only the bucket had of pinned and scheduled globs when it was last looked."""
        self.reading = Reading()
        self.others: Others = Nobody()
        self.eviction = Eviction(store, self.upstream, configuration, self._busy, self.flush)
        promises = Promises(configuration, self.upstream, store)
        self.flights = Flights(store, self.upstream, self.eviction, self.traffic, promises, self.settings.max_fills, self._slow_rate)
        self.refs = Refs(self.upstream, self.flights.knowledge)
        self.gates = Gates(self.upstream, self.flights.knowledge)
        self.misses = Misses(store, lambda: self.settings.anonymise_clients)
        self.absences = Absences(configuration, self.flights.knowledge, self.misses, Listings(store))
        self._given: OrderedDict[ArchiveId, str] = OrderedDict()
        self.unlisted = Unlisted(self.misses)
        self._checks = Checks(self.flights)
        self.port: int | None = None
        """Where it listens, if it does."""
        self.shared = self._opened()
        """What it shares with other mirrors, if it does."""
        self.flights.shared = self.shared
        self._flushing: asyncio.Task[None] | None = None

    @property
    def settings(self) -> Settings:
        """Those of the moment."""
        return self.configuration.settings

    @property
    def origins(self) -> Origins:
        """Those of the moment."""
        return self.configuration.origins

    def dataset_of(self, archive: ArchiveId) -> str:
        """The dataset that an archive belongs to: its name in the catalog, else that it has none at its origin."""
        return self.origins.dataset_of(archive)

    def _slow_rate(self) -> float:
        """Below which a download is slow by its origin's doing, not by our own limit."""
        limit = self.traffic.throttle.all.limit()
        return self.settings.slow_rate if limit is None else min(self.settings.slow_rate, limit / self.settings.max_fills / 2)

    async def reload(self) -> None:
        """Reads the configuration once more and takes it up; UsageError, and nothing changes, if it is wrong now.

        Data folder, database, address, `max_fills` and `workers` stay as they are until the next start.
        """
        fresh = self.configuration.read_again()
        async with self.others.at_one_moment(fresh):
            self.configuration.take_up(fresh)
        await self.upstream.leave_former()
        self.look_again.set()
        log.info("Reloaded the configuration %s.", self.configuration.file)

    def _opened(self) -> "SharedStore | None":
        """UsageError if what is set for it cannot be."""
        places = sharing(self.settings)
        if places is None:
            return None
        try:
            from dataset_mirror.store.shared.store import SharedStore  # its libraries are for those alone who use it
        except ImportError as error:
            raise UsageError(f"`shared` needs {error.name}, which is not installed.", "Run: pip install 'dataset-mirror[shared]'") from None
        return SharedStore(
            self.store, places, required=self.settings.require_shared, url=self._own_url, state=self._said_to_others, told=self._told
        )

    def _own_url(self, address: str) -> str:
        """At which other mirrors reach this one, by the address of this machine that they can reach; empty if at none."""
        if self.settings.advertise_url or self.port is None:
            return self.settings.advertise_url or ""
        host = address if self.settings.host in ("0.0.0.0", "::") else self.settings.host
        return f"http://[{host}]:{self.port}" if ":" in host else f"http://{host}:{self.port}"

    def _said_to_others(self) -> dict[str, object]:
        fills = list(self.flights)
        return {"fills": len(fills), "following": [[fill.job.url, fill.upstream] for fill in fills[:100]]}

    def _told(self, key: str) -> None:
        """Another mirror has published what is not here; from any thread."""
        archive = archive_of(key)
        name = self.origins.name_of(archive)
        ahead = any(meaning.names(name) or meaning.fits_url(f"https://{archive}") for meaning in map(Meaning, self.settings.prefetch))
        if ahead or self.store.pins.mean(archive, name):
            asyncio.run_coroutine_threadsafe(self._prefetched(archive), self._loop)

    async def _prefetched(self, archive: ArchiveId) -> None:
        with suppress(MirrorError), because("ahead"):
            self.fill(self.asked(archive))

    async def start(self) -> None:
        self._loop = asyncio.get_running_loop()
        if self.shared:
            await self.shared.start()
        await checkpoint()  # what httpx runs on loads its parts at the first use: that is not to cost the first client
        self._flushing = asyncio.create_task(self._flush_for_ever())

    async def stop(self) -> None:
        """Ends fills, and writes down what was counted."""
        await self.flights.stop()
        await self.misses.stop()
        if self.shared:
            await self.shared.stop()
        if self._flushing:
            self._flushing.cancel()
        await self.upstream.close()
        with suppress(StoreFull, IndexDamaged):
            await self.flush()
            await self.flights.flush()
            await self.store.write_changes()

    async def flush(self) -> None:
        """Writes down who asked for what, whichever process answered."""
        await self.others.gather()
        await self.usage.flush()

    async def _flush_for_ever(self) -> None:
        while True:
            await asyncio.sleep(FLUSH_SECONDS)
            try:
                await self.flush()
                await self.flights.flush()
                await self.store.write_changes()
                self.store.renew_lock()
            except (StoreFull, IndexDamaged) as error:  # the store has said it, and so does /status; the counts stay
                log.debug("Hit counts cannot be written now: %s", error)
            except Exception:  # counting must never end the mirror; the counts stay and are tried again
                log.exception("Hit counts and failures could not be written.")

    # What people name

    async def looked(self, work: Callable[[Lister], T]) -> T:
        """What `work` finds in the lists of what is here, and of what the bucket has that several mirrors share; it may block.

        SharedAway if it finds nothing, and that may be because the database is away.
        """
        if self.shared is None:
            return await self.store.in_worker(lambda: work(self.store.index))
        everywhere = self.shared.everywhere()
        try:
            return await asyncio.to_thread(work, everywhere)  # the store's worker waits for no network
        except UsageError as error:
            raise everywhere.trouble or error from None

    # One archive

    def asked(self, archive: ArchiveId) -> Asked:
        """What a URL means by the rules of its origin, secrets in it as they were last asked with. NotAllowed if none lists it."""
        origin = self.origins.of(archive)
        if not archive.can_be_asked_for:
            entry = self.origins.expected(archive)
            given = self._given.get(archive) or (entry.archive.given if entry else None)
            archive = replace(archive, given=given)
        return asked(origin, archive)

    def remember_urls(self, names: Iterable[str]) -> None:
        """The same of URLs that people name; other names have no secrets."""
        for name in names:
            if "://" in name and "?" in name:
                with suppress(MirrorError):
                    self.remember(self.asked(parse_url(name)))

    def remember(self, what: Asked) -> None:
        """Keeps in memory, and for a while, with which secrets a URL was asked for: its origin can be asked again later."""
        if (given := what.target.given) is not None:
            self._given[what.archive] = given
            self._given.move_to_end(what.archive)
            while len(self._given) > _REMEMBERED:
                self._given.popitem(last=False)

    async def located(self, what: Asked, authorization: str | None = None) -> Asked:
        """What a request means now: a name is its commit, and what is not for everybody is asked for with the client's credentials.

        Raises the origin's refusal, or Offline, if this client may not have it.
        """
        origin = self.origins.of(what.archive)
        if commit := await self.refs.commit(what, origin, authorization, offline=self.settings.offline):
            what = _at_commit(what, origin, commit)
        if self.gates.is_restricted(what, self.store.find(what.archive)):
            what = await self._admitted(what, authorization, origin)
        return what

    async def let_in(self, what: Asked, authorization: str | None, error: MirrorError) -> Asked:
        """The same with the client's credentials, after the origin refused it without; raises that refusal if it has none."""
        if what.question.authorization or not (what.matched and what.matched.rule.gated and is_refusal(error)):
            raise error
        await self.gates.mark(what)
        if authorization is None:
            raise error
        return await self._admitted(what, authorization, self.origins.of(what.archive))

    async def _admitted(self, what: Asked, authorization: str | None, origin: Origin) -> Asked:
        by_readers = origin.offline_gated == "readers"
        if self.settings.offline:
            if by_readers:
                return replace(what, is_for_readers=True)
            raise self.absences.known(what) or refused_offline(what, origin)
        try:
            return await self.gates.admitted(what, authorization, origin)
        except OriginUnreachable:
            if by_readers:
                return replace(what, is_for_readers=True)
            raise

    async def find(self, what: Asked) -> Hit | Fill:
        """The archive's bytes if they are there, else the fill that brings them. Raises NotAllowed, Offline, or a recent 404.

        What is stale is asked for first where its rule says so, and is served as it is only if its origin fails.
        """
        hit = self.hit(what.archive) or self._by_digest(what)
        if hit is None:
            return self.fill(what)
        return await self._asked_first(hit, what) if what.asks_first else hit

    def _by_digest(self, what: Asked) -> Hit | None:
        """An object of Git LFS, wherever its bytes came from: those that are for everybody, or all if its origin let this client in."""
        if what.question.lfs is None:
            return None
        is_let_in = what.question.authorization is not None or what.is_for_readers
        users = self.store.index.users_of(what.question.lfs.oid)
        found = (one for one in users if self.origins.get(one.archive.authority))  # else nobody knows who may read it
        return next((hit for one in found if not one.private and (is_let_in or not one.restricted) and (hit := self.opened(one))), None)

    def has_object(self, what: Asked) -> bool:
        """Whether the bytes of an object of Git LFS are here, for whoever asks."""
        if (hit := self.hit(what.archive) or self._by_digest(what)) is None:
            return False
        hit.file.close()
        return not hit.record.private and (not hit.record.restricted or what.question.authorization is not None or what.is_for_readers)

    async def fresh(self, what: Asked) -> Hit | None:
        """The archive's bytes if they are there and need not be asked for first; what was asked for first is as it is by then."""
        if (hit := self.hit(what.archive) or self._by_digest(what)) is None:
            return None
        hit.file.close()
        found = await self.find(what)
        return found if isinstance(found, Hit) else None

    async def _asked_first(self, hit: Hit, what: Asked) -> Hit | Fill:
        check = self._check(hit.record, what)
        if check is None:
            return hit
        try:
            async with asyncio.timeout(self.settings.idle_timeout):
                found = await check.opened()
        except (MirrorError, TimeoutError):
            return hit
        hit.file.close()
        return check if not isinstance(found, Record) else self.opened(found) or self.fill(what)

    def hit(self, archive: ArchiveId) -> Hit | None:
        """The archive's bytes if they are there."""
        record = self.store.find(archive)
        return self.opened(record) if record else None

    def freshness(self, record: Record, what: Asked | None = None) -> Freshness:
        """How fresh a stored archive is; if it is stale, its origin is asked in the background, as `what` asks for it."""
        self._check(record, what if what and what.target.given is not None else None)
        return self._freshness(record)

    def _freshness(self, record: Record) -> Freshness:
        origin = self.origins.get(record.archive.authority)  # None if it was taken out: what came from it goes on being served
        lifetime = origin.lifetime(record.archive.path) if origin else math.inf
        return self._checks.of(record, lifetime, self.origins.expected(record.archive))

    def _check(self, record: Record, what: Asked | None = None) -> Fill | None:
        """The check of a stale archive, which is under way then, unless nobody may ask or it failed a short while ago."""
        origin = self.origins.get(record.archive.authority)
        if origin is None or self.settings.offline or not self._freshness(record).is_stale:
            return None
        if what is None and not record.archive.can_be_asked_for and not (what := self.asked(record.archive)).target.can_be_asked_for:
            return None
        with because("check"):
            return self._checks.begin(record, origin, self.origins.expected(record.archive), what)

    def fields_of(self, what: Asked, reply: Reply) -> Fields:
        """What of an origin's answer clients get."""
        return Job(what, self.origins.of(what.archive), None).fields_of(reply)

    def may_be_hot(self, record: Record) -> bool:
        """Whether everybody may have it as it is, until something is written to the index."""
        if record.restricted or self.gates.is_restricted(self.asked(record.archive), record):
            return False
        matched = self.origins.matched(record.archive)
        return matched is None or matched.rule.when_stale == "serve"

    def for_everybody(self, what: Asked) -> Hit | None:
        """The archive's bytes, if they are there, may go to anybody as they are, and nobody need be asked what the request means."""
        origin, matched = self.origins.of(what.archive), what.matched
        if origin.readers is not None or origin.headers or (matched and matched.rule.ref is not None and matched.ref is not None):
            return None
        if what.target.given is not None or what.question.lfs is not None:
            return None
        record = self.store.find(what.archive)
        if record is None or record.private or record.restricted or self.gates.is_restricted(what, record):
            return None
        if what.asks_first and self._freshness(record).is_stale:
            return None
        with suppress(FileNotFoundError):  # whoever finds out what to do about it says so
            return Hit(record, self.store.blobs.open(record.sha256))
        return None

    def passing(self, archive: ArchiveId) -> tuple[str, ...]:
        """Names of fields that its rule lets pass to clients, besides those that always do."""
        matched = self.origins.matched(archive)
        return matched.rule.redirect_fields if matched else ()

    def linked(self, archive: ArchiveId) -> tuple[str, ...]:
        """The hosts whose URLs in its content lead to the mirror, for clients that asked by its own address."""
        matched = self.origins.matched(archive)
        return matched.rule.links_to if matched else ()

    def ttl(self, record: Record) -> float | None:
        """Seconds until a stored archive is checked, negative if that is overdue; None if never. Its origin is not asked."""
        return self._freshness(record).ttl

    def refusal(self, what: Asked) -> MirrorError | None:
        """Why an archive that is not stored would not be fetched now, if so."""
        if self.settings.offline:
            return self.absences.offline(what)
        return self.flights.absence(what)

    def opened(self, record: Record) -> Hit | None:
        """The blob of a record, opened; None, said in the log, if it has gone."""
        try:
            return Hit(record, self.store.blobs.open(record.sha256))
        except FileNotFoundError:
            log.warning("The blob of %s has gone from the data folder; it is fetched again.", record.url)
            return None

    @contextmanager
    def read(self, hit: Hit) -> Iterator[BinaryIO]:
        """The blob of a hit, for one answer; nobody makes room of it meanwhile."""
        self.reading[hit.record.sha256] += 1
        try:
            with hit.file as file:
                yield file
        finally:
            self.reading[hit.record.sha256] -= 1

    def _busy(self, record: Record) -> bool:
        pinned = is_pinned(self.store, self.origins, record.archive)
        if self.store.telling.is_on and self.store.index.is_in_outbox(record.archive):
            return True
        is_read = self.reading[record.sha256] > 0 or self.others.reads(record.sha256)
        return pinned or is_read or self.flights.get(record.archive) is not None

    def fill(self, what: Asked) -> Fill:
        """The download of an archive, which is joined or begun. Raises NotAllowed, Offline, or a recent refusal of its origin."""
        origin = self.origins.of(what.archive)
        if self.settings.offline and not self.shared:
            raise self.absences.offline(what)
        if not what.target.can_be_asked_for:
            raise UsageError(
                f"The URL of {origin.url_of(what.archive)} has a secret, which is not kept: its origin cannot be asked.",
                "Ask for it by its whole URL.",
            )
        restricted = gate_of(what) if what.question.authorization else None
        return self.flights.join(Job(what, origin, self.origins.expected(what.archive), restricted=restricted))

    async def head(self, what: Asked) -> Record | Edition | Reply:
        """What a HEAD is answered from when the archive is not there: a fill under way, else the origin's own answer to HEAD.

        Nothing is fetched, unless the origin refuses HEAD; then the fill starts. A Reply comes back closed.
        """
        source = OriginSource.of(self.upstream, self.origins.of(what.archive), what)
        if (known := self.flights.knowledge.absence(what)) is not None:
            raise known
        if self.settings.offline or self.flights.get(what.archive) or what.question.body is not None or what.question.lfs:
            return await self.fill(what).opened()
        try:
            reply = await source.ask(method="HEAD")
        except Broken:
            return await self.fill(what).opened()  # which retries, and has the right error in the end
        try:
            if reply.status == 200 and not (what.question.confirm and reply.is_page):
                if reply.length == 0 and what.matched:
                    self.fill(what)  # there is nothing to GET, so nobody will: it would not be there offline
                return reply
            if reply.status in PASSED_ON and reply.status not in HEAD_REFUSED:
                await self._judged(reply, what, source)
        finally:
            await reply.close()
        return await self.fill(what).opened()

    async def _judged(self, reply: Reply, what: Asked, source: OriginSource) -> None:
        """Raises the origin's refusal, which is remembered."""
        try:
            await judge(reply, source.url, quoted=not source.private)
        except OriginSaysNo as error:
            await self.flights.knowledge.refused(what, error)
            raise


def _at_commit(what: Asked, origin: Origin, commit: str) -> Asked:
    assert what.matched is not None
    path = what.matched.at_commit(what.archive.path, commit)
    return replace(what.at(path), matched=origin.rule(path))


@asynccontextmanager
async def running(configuration: Configuration, store: Store) -> AsyncIterator[Mirror]:
    """A mirror from start to stop."""
    mirror = Mirror(configuration, store)
    await mirror.start()
    try:
        yield mirror
    finally:
        await mirror.stop()
