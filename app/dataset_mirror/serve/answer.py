"""The answer to one request for an archive: from what is stored, from a fill under way, or a problem."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import BinaryIO

from dataset_mirror.errors import MirrorError, NotAllowed, NotForKeeping, OriginSaysNo, Superseded, SystemFailure
from dataset_mirror.fetch.fill import Fill
from dataset_mirror.fetch.following import FOLLOW, KNOWN, of_edition, of_record
from dataset_mirror.fetch.reply import Reply
from dataset_mirror.mirror import Hit, Mirror
from dataset_mirror.origins.asked import Asked
from dataset_mirror.origins.identity import ArchiveId, parse_url
from dataset_mirror.rules.conditions import Selection, select
from dataset_mirror.rules.links import Place
from dataset_mirror.serve.access import check_may_read
from dataset_mirror.serve.asgi import NOTE, ClientGone, Message, RawFields, Receive, Request, Send
from dataset_mirror.serve.body import Body
from dataset_mirror.serve.client import client_address
from dataset_mirror.serve.followed import check_may_follow, not_held
from dataset_mirror.serve.head import Representation, archive_head, for_one_client, problem
from dataset_mirror.serve.places import LONGEST_PAGE, leading_back, links_led_back, redirecting_back
from dataset_mirror.store.record import Record

log = logging.getLogger(__name__)

Keep = Callable[[Request, Record, BinaryIO], None]
"""Told of what a plain GET is answered with, to answer the like from memory."""


class Answer:
    """One request for an archive, and how far its answer is."""

    def __init__(
        self, mirror: Mirror, keep: Keep, request: Request, receive: Receive, send: Send, *, zero_copy: bool, place: Place | None
    ) -> None:
        self._request = request
        self._mirror, self._keep, self._receive, self._send = mirror, keep, receive, send
        self.place = place
        """Where this client finds URLs of origins; None if they lead here as they are."""
        self._started = False
        self._restricted = self._rewritten = False
        self._archive: ArchiveId | None = None
        self._outcome = "head"
        self._what: Asked | None = None
        """What is asked for, once it is known what that means now."""
        self._note: dict[str, str] = {}
        self._follows: Fill | None = None
        """The fill that another mirror follows."""
        self._tells: str | None = None
        """What another mirror is told of the bytes."""
        self._body = Body(send, self._served, zero_copy=zero_copy)

    # What others answer

    async def send(self, message: Message) -> None:
        """What another one answers."""
        self._started |= message["type"] == "http.response.start"
        await self._send(message)

    async def pass_back(self, message: Message) -> None:
        """What the origin answers to a request that came by the mirror's own address."""
        if message["type"] == "http.response.start":
            message["headers"] = redirecting_back(message["headers"], self.place)
        await self.send(message)

    async def json(self, body: bytes, media_type: str) -> None:
        """An answer of the mirror's own, for this client only."""
        self._outcome = "hit"
        fields = [(b"content-type", media_type.encode()), (b"content-length", str(len(body)).encode()), (b"cache-control", b"no-store")]
        await self._start(200, fields)
        await self._send({"type": "http.response.body", "body": body, "more_body": False})

    # What goes wrong

    @asynccontextmanager
    async def said(self) -> AsyncIterator[None]:
        """Inside, what goes wrong is answered, if nothing else was."""
        try:
            yield
        except ClientGone:
            log.debug("The client left.")
        except MirrorError as error:
            await self._unlisted(error)
            await self._problem(error)
        except OSError as error:
            log.error("An answer failed: %s.", error)  # its words say it all
            await self._problem(SystemFailure.of(error))

    async def _problem(self, error: MirrorError) -> None:
        """A problem document; once bytes have left, the connection is broken instead."""
        if self._started:
            raise error
        self._outcome = error.problem
        self._note["why"] = error.detail
        status, fields, body = problem(error, self._request.fields.get("accept", ""))
        await self._start(status, fields)
        await self._send({"type": "http.response.body", "body": b"" if self._request.method == "HEAD" else body, "more_body": False})

    async def _unlisted(self, error: MirrorError) -> None:
        """An offline mirror's wanted list has what no origin lists here, too."""
        url = error.facts.get("archive") if isinstance(error, NotAllowed) else None
        if isinstance(url, str) and self._mirror.settings.offline and self._request.method in ("GET", "HEAD"):
            await self._mirror.unlisted.note(parse_url(url), self._address())

    # What is asked for

    async def answer(self, what: Asked) -> None:
        """Answers; one that could not be fetched is on the wanted list before its client hears of it."""
        try:
            await self.archive(what)
        except NotForKeeping:
            raise
        except MirrorError as error:
            raise await self._mirror.absences.missed(self._what or what, error, self._address()) from None

    async def followed(self, what: Asked) -> None:
        """Answers another mirror, which checks itself who may have it there. Forbidden or NotHeld if it cannot be meant."""
        self._archive, self._outcome, self._restricted = what.archive, "followed", True
        check_may_follow(self._mirror, what.archive, self._request.fields[FOLLOW])
        if fill := self._mirror.flights.get(what.archive):
            self._follows = fill
            return await self._while_connected(fill)
        hit = self._mirror.hit(what.archive)
        if hit is None:
            raise not_held(what.archive)
        self._tells = of_record(hit.record)
        await self._whole(hit, "hit")

    async def stored(self, what: Asked, hit: Hit) -> None:
        """Answers with what is there, and is for everybody."""
        self._what, self._archive = what, what.archive
        self._note["archive"] = str(what.archive)
        await (self._hit_head(hit, what) if self._request.method == "HEAD" else self._hit(hit, what))

    async def archive(self, what: Asked) -> None:
        self._archive = what.archive
        self._admit(what.archive)
        authorization = self._request.fields.get("authorization")
        located = await self._mirror.located(what, authorization)
        self._rewritten = located.archive != what.archive
        try:
            await self._located(located)
        except OriginSaysNo as error:
            if self._started:
                raise
            await self._located(await self._mirror.let_in(located, authorization, error))

    async def _located(self, what: Asked) -> None:
        """Answers what this client may have, as far as the origin says."""
        self._what = what
        self._archive = archive = what.archive
        self._mirror.remember(what)
        self._note["archive"] = str(archive)
        self._restricted |= what.question.authorization is not None or what.is_for_readers
        self._admit(archive, private=what.is_for_readers)
        if self._request.method == "HEAD":
            return await self._head(what)
        found = await self._mirror.find(what)
        if isinstance(found, Hit):
            return await self._hit(found, what)
        self._outcome = "miss"
        self._note["why"] = "It was not stored." if found.readers == 0 else "It was not stored; another request had begun to fetch it."
        self._admit(archive, private=found.job.private)
        await self._while_connected(found)

    def _admit(self, archive: ArchiveId, *, private: bool = False) -> None:
        """Forbidden if this client may not have the archive, of which no byte and no head has left yet."""
        self._restricted |= check_may_read(self._request, self._mirror.origins.of(archive), self._mirror.settings, private=private)

    def _address(self) -> str | None:
        address = client_address(self._request, self._mirror.settings.forwarded_allow_ips)
        return str(address) if address else None

    # The head alone

    async def _head(self, asked_for: Asked) -> None:
        archive = asked_for.archive
        hit = await self._mirror.fresh(asked_for)
        if hit:
            return await self._hit_head(hit, asked_for)
        flight = self._mirror.flights.get(archive)
        self._admit(archive, private=flight is not None and flight.job.private)
        found = await self._mirror.head(asked_for)
        if isinstance(found, Record):
            self._admit(archive, private=found.private)
            what = self._of(found)
        elif isinstance(found, Reply):
            what = Representation.of_reply(found, self._mirror.fields_of(asked_for, found))
        else:
            flight = self._mirror.flights.get(archive)
            what = Representation.of_edition(found, flight.job.expected if flight else self._mirror.origins.expected(archive))
        await self._headers_of(what, "fwd=miss")

    async def _hit_head(self, hit: Hit, what: Asked) -> None:
        with hit.file as file:
            self._admit(what.archive, private=hit.record.private)
            shown, _ = await self._led_back(self._of(hit.record), file, what.archive)
        await self._headers_of(shown, "hit", *self._mirror.freshness(hit.record, what).as_parameter())

    async def _headers_of(self, what: Representation, *status: str) -> None:
        await self._empty(what.without_content(), select(self._conditions, what.validators, what.size), *status)

    # What is stored

    async def _hit(self, hit: Hit, what: Asked) -> None:
        self._outcome = "hit"
        self._mirror.usage.note(what.archive)
        self._rewritten |= hit.record.archive != what.archive
        await self._whole(hit, "hit", *self._mirror.freshness(hit.record, what).as_parameter())

    async def _whole(self, hit: Hit, *status: str) -> None:
        """From a finished blob."""
        with self._mirror.read(hit) as file:
            self._admit(hit.record.archive, private=hit.record.private)
            what, content = await self._led_back(self._of(hit.record), file, hit.record.archive)
            if self._tells:
                what = replace(what, validators=hit.record.validators)
            selection = select(self._conditions, what.validators, what.size)
            if selection.status not in (200, 206):
                return await self._empty(what, selection, *status)
            if content is not None:
                await self._begin(what, selection, *status)
                return await self._send({"type": "http.response.body", "body": content[selection.start : selection.end]})
            if self._may_be_kept(hit.record):
                self._keep(self._request, hit.record, file)
            await self._begin(what, selection, *status)
            await self._body.finished(file, selection.start, selection.end or 0)

    async def _led_back(self, what: Representation, file: BinaryIO, archive: ArchiveId) -> tuple[Representation, bytes | None]:
        """What a client of the mirror's own address gets where the content has links to other hosts: these lead to the mirror."""
        hosts = self._mirror.linked(archive)
        if not hosts or self.place is None or (what.size or 0) > LONGEST_PAGE:
            return what, None
        content = await asyncio.to_thread(links_led_back, file.read, hosts, self.place)
        return what.of_content(content), content

    def _may_be_kept(self, record: Record) -> bool:
        """Whether the like of this request may be answered from memory: whoever asks, and with whatever fields."""
        plain = not record.archive.variant and not self._rewritten and not any(name == "link" for name, _ in record.fields)
        return plain and not self._restricted and self._request.method == "GET" and self._mirror.may_be_hot(record)

    def _of(self, record: Record) -> Representation:
        return Representation.of_record(record, self._mirror.passing(record.archive))

    # What is being fetched

    async def _while_connected(self, fill: Fill) -> None:
        """Follows a fill until the answer ends or the client leaves; the fill goes on either way."""
        following = asyncio.create_task(self._follow(fill))
        gone = asyncio.create_task(self._disconnect())
        fill.readers += 1
        try:
            await asyncio.wait([following, gone], return_when=asyncio.FIRST_COMPLETED)
            if not following.done():
                self._mirror.misses.left(fill, self._address())
                raise ClientGone
            following.result()
        finally:
            fill.readers -= 1
            following.cancel()
            gone.cancel()
            await asyncio.wait([following, gone])

    async def _disconnect(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass

    async def _follow(self, fill: Fill) -> None:
        status = ("fwd=miss", "collapsed" if fill.readers > 1 else "stored")
        if self.place is not None and self._mirror.linked(fill.job.archive):
            await fill.ended()  # the links in it lead elsewhere for this client: it needs the whole
        while True:
            edition = await fill.opened()
            if isinstance(edition, Record):
                hit = self._mirror.opened(edition)
                self._tells = of_record(edition) if self._follows else None
                return await self._whole(hit, *status) if hit else await self.archive(fill.job.asked)
            expected = fill.job.expected
            what = Representation.of_edition(edition, expected)
            if self._follows:
                what, self._tells = replace(what, validators=edition.validators), of_edition(edition, fill.began, private=fill.job.private)
            selection = select(self._conditions, what.validators, what.size)
            if selection.status not in (200, 206):
                return await self._empty(what, selection, *status)
            # A part without a known digest leaves as it comes: it is what the origin itself would have sent.
            hold = selection.status == 200 or edition.validators.strong is None or bool(expected and expected.has_digest)
            try:
                # No status line before a byte may leave: what fails until then is a clean error.
                await fill.readable(edition, selection.start, selection.end, hold=hold)
            except Superseded:
                continue
            if fill.record:
                continue  # finished meanwhile: now its digest is known too
            with edition.partial.duplicate() as file:
                await self._begin(what, selection, *status)
                return await self._body.growing(fill, edition, file, selection.start, selection.end, hold=hold)

    # What leaves

    @property
    def _conditions(self) -> dict[str, str]:
        """The request's fields; Range means something for GET only (RFC 9110 14.2)."""
        fields = self._request.fields
        return fields if self._request.method == "GET" else {name: value for name, value in fields.items() if name != "range"}

    async def _empty(self, what: Representation, selection: Selection, *status: str) -> None:
        await self._begin(what, selection, *status)
        await self._send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _begin(self, what: Representation, selection: Selection, *status: str) -> None:
        code, fields = archive_head(what, selection, *status)
        fields = leading_back(fields, self.place)
        if self._tells:
            fields.append((KNOWN.encode(), self._tells.encode("ascii")))
        if self._request.method == "POST":  # who goes on by GET would ask for something else
            fields = [(name, b"none" if name == b"accept-ranges" else value) for name, value in fields]
        await self._start(code, for_one_client(fields) if self._restricted else fields)

    async def _start(self, status: int, fields: RawFields) -> None:
        self._started = True
        self._mirror.traffic.answered(self._archive, self._outcome)
        note = self._note | {"outcome": self._outcome}
        await self._send({"type": "http.response.start", "status": status, "headers": fields, NOTE: note})

    def _served(self, count: int) -> None:
        assert self._archive is not None
        self._mirror.traffic.send(self._archive, count)
