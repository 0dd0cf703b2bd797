"""A mirror that answers over HTTP: the live server of a data folder, or one somewhere else."""

import re
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, TypeVar
from urllib.parse import quote, urlencode

import httpx
from pydantic import BaseModel, ValidationError

from dataset_mirror.airgap.preflight.presence import Presence, names_of
from dataset_mirror.airgap.proposals import Proposal, proposals
from dataset_mirror.airgap.wanted import Wish
from dataset_mirror.cli.live import check, error_of, lines, no_mirror
from dataset_mirror.cli.steps import Step
from dataset_mirror.errors import MirrorError, UsageError
from dataset_mirror.fetch.tracing import Trace
from dataset_mirror.origins.identity import ArchiveId, parse_url
from dataset_mirror.origins.meaning import Meaning
from dataset_mirror.origins.table import Origins
from dataset_mirror.origins.unknown import closest
from dataset_mirror.status.contents import ArchivePage, ArchiveSummary, Catalog, Checked, Explanation, WantedArchive, WantedArchivePage
from dataset_mirror.status.figures import By, ReportStatus, UsageStatus
from dataset_mirror.status.models import ClientStatus, LogLine, PinStatus, Status
from dataset_mirror.status.orders import Collection, Pinned, Removal, TraceAnswer, Unwanted, WantAnswer
from dataset_mirror.store.history import DAY, KEPT
from dataset_mirror.store.listing import Query
from dataset_mirror.store.wanted import Wanted
from dataset_mirror.upkeep.verify import OVER

M = TypeVar("M", bound=BaseModel)
_SHA256 = re.compile("[0-9a-f]{64}")
_MOST_IN_TARGET = 6000
"""Bytes of a query in one request, well within what a mirror takes as a request's target."""
_MOST_URLS = 500
"""Archives in one request: their URLs are within what the API takes as a body, however long they are."""


class Remote:
    """What a mirror says of its archives, and does with them."""

    def __init__(self, client: httpx.Client, url: str, origins: Origins | None = None) -> None:
        """`origins` are those of the mirror, if they are known here; else it is asked for its catalog."""
        self._client, self._origins = client, origins
        self.url = url
        self.elsewhere = origins is None
        self.offline = False

    # What it knows

    @cached_property
    def names(self) -> Mapping[str, list[str]]:
        if self._origins is not None:
            return names_of(self._origins)
        catalog = self._get(Catalog, "/status/catalog")
        return {dataset.name: [archive.url for archive in dataset.archives] for dataset in catalog.datasets}

    def select(self, wanted: str) -> list[ArchiveId]:
        if self._origins is not None:
            return self._origins.select(wanted)
        if "://" in wanted:
            return [parse_url(wanted)]
        meaning = Meaning(wanted)
        found = [parse_url(url) for name in meaning.names_in(self.names) for url in self.names[name]]
        found = found or [parse_url(url) for urls in self.names.values() for url in urls if meaning.fits_file(url)]
        if not found and (archive := meaning.as_url()):
            return [archive]
        if not found:
            raise UsageError(f"The mirror's catalog has no archive named {wanted!r}.", closest(wanted, self.names))
        return found

    def repository(self, word: str) -> object:
        return None if self._origins is None else self._origins.repository(word)

    def unlisted(self, archives: Sequence[ArchiveId]) -> list[ArchiveId]:
        if not self.elsewhere:
            return []  # whoever selected one was told
        asked = {f"https://{archive.authority}{archive.target}": archive for archive in archives}
        return [asked[url] for url, one in self.look(asked).items() if not one.listed and url in asked]

    def size_of(self, archive: ArchiveId) -> int | None:
        entry = self._origins.expected(archive) if self._origins else None
        return entry.size if entry else None

    def look(self, urls: Iterable[str]) -> Mapping[str, Presence]:
        found: dict[str, Presence] = {}
        for query in _queries("url", urls):
            answer = self._get(Checked, f"/status/check?{query}")
            self.offline = answer.offline
            found |= {one.url: Presence(**one.model_dump()) for one in answer.archives}
        return found

    def status(self) -> dict[str, Any]:
        return self._get(Status, "/status").model_dump(mode="json")

    def explain(self, url: str) -> Explanation:
        return self._get(Explanation, f"/status/explain?url={quote(url, safe='')}")

    def stored(self, names: Sequence[str], query: Query) -> Iterator[ArchiveSummary]:
        filters = {name: value for name, value in (("origin", query.origin), ("state", query.state)) if value is not None}
        how = urlencode({"sort": query.order, "descending": str(query.descending).lower(), "limit": 1000, **filters})
        if not names:
            yield from self._pages(how)
            yield from (one for one in self._pages(f"{how}&where=bucket") if one.where == "bucket")
            return
        pages = (self._get(ArchivePage, f"/status/archives?{how}&{only}") for only in _queries("only", names))
        found = {one.url: one for page in pages for one in page.archives}
        yield from sorted(found.values(), key=lambda one: one.place(query.order), reverse=query.descending)

    def _pages(self, how: str) -> Iterator[ArchiveSummary]:
        after: str | None = ""
        while after is not None:
            page = self._get(ArchivePage, f"/status/archives?{how}" + (f"&after={after}" if after else ""))
            yield from page.archives
            after = page.next

    def digests(self) -> Iterator[str]:
        with self._client.stream("GET", "/status/digests") as response:
            check(response)
            for line in response.iter_lines():
                if not _SHA256.fullmatch(line):
                    raise no_mirror(response)
                yield line

    def wanted(self) -> list[Wish]:
        found: list[Wish] = []
        after: str | None = ""
        while after is not None:
            page = self._get(WantedArchivePage, "/status/wanted?limit=1000" + (f"&after={after}" if after else ""))
            found += [_wish(one, self._origins) for one in page.wanted]
            after = page.next
        return sorted(found, key=lambda wish: str(wish.asked.archive))

    def proposals(self, archives: Iterable[ArchiveId]) -> list[Proposal]:
        return proposals(archives, self._origins) if self._origins is not None else []

    def pins(self) -> list[PinStatus]:
        return self._get(Status, "/status").pins

    def clients(self) -> list[ClientStatus]:
        return self._list(ClientStatus, "/api/clients")

    def log(self, since: float, limit: int) -> list[LogLine]:
        return self._list(LogLine, f"/api/log?since={since}&limit={limit}")

    def usage(self, by: By) -> UsageStatus:
        return self._get(UsageStatus, f"/status/usage?by={by}&limit=100000")

    def report(self, since: float) -> ReportStatus:
        return self._get(ReportStatus, f"/status/report?days={min(time.time() - since, KEPT[DAY]) / DAY}")

    # What it does

    def fetch(self, archives: Iterable[ArchiveId], repositories: Iterable[str] = ()) -> Iterator[Step]:
        for some in _batches([f"https://{archive.authority}{archive.target}{archive.mark}" for archive in archives]):
            yield from self._fetch(some)
        for name in repositories:
            try:
                yield from self._fetch([name])
            except UsageError as error:
                yield Step(name, "failed", error=error, over=True)

    def _fetch(self, some: Sequence[str]) -> Iterator[Step]:
        for known in lines(self._client, "/api/fetch", {"archives": some}):
            over = known["state"] in ("present", "fetched", "failed")
            yield Step(known["url"], known["state"], known["received"], known.get("total"), error_of(known), over)

    def verify(self, names: Sequence[str]) -> Iterator[Step]:
        for known in lines(self._client, "/api/verify", {"archives": list(names)}):
            state = known["state"]
            yield Step(known["url"], state, known["checked"], known["total"], error_of(known), state in OVER)

    def remove(self, urls: Sequence[str]) -> int:
        return sum(self._post(Removal, "/api/rm", {"archives": some}).freed for some in _batches(urls))

    def collect(self, *, dry_run: bool, last_copies: bool) -> Collection:
        return self._post(Collection, "/api/gc", {"dry_run": dry_run, "last_copies": last_copies})

    def want(self, urls: Iterable[str]) -> list[str]:
        return [url for some in _batches(list(urls)) for url in self._post(WantAnswer, "/api/want", {"archives": some}).wanted]

    def unwant(self, archives: Sequence[ArchiveId]) -> int:
        urls = [f"https://{archive}" for archive in archives]
        return sum(self._post(Unwanted, "/api/unwant", {"archives": some}).removed for some in _batches(urls))

    def trace(self, url: str) -> Trace:
        found = self._post(TraceAnswer, "/api/trace", {"url": url})
        trouble = MirrorError(found.trouble.detail, found.trouble.hint) if found.trouble else None
        return Trace(tuple(found.hosts), found.place, found.status, found.size, found.content_type, trouble)

    def pin(self, names: Sequence[str]) -> list[str]:
        return [name for some in _batches(names) for name in self._post(Pinned, "/api/pin", {"names": some}).names]

    def unpin(self, names: Sequence[str]) -> list[str]:
        return [name for some in _batches(names) for name in self._post(Pinned, "/api/unpin", {"names": some}).names]

    def reload(self) -> None:
        check(self._client.post("/api/reload"))

    def _list(self, model: type[M], path: str) -> list[M]:
        response = self._client.get(path)
        check(response)
        try:
            return [model.model_validate(one) for one in response.json()]
        except (ValueError, TypeError):
            raise no_mirror(response) from None

    def _get(self, model: type[M], path: str) -> M:
        return _read(model, self._client.get(path))

    def _post(self, model: type[M], path: str, asked: Mapping[str, object]) -> M:
        return _read(model, self._client.post(path, json=asked))


def _wish(one: WantedArchive, origins: Origins | None) -> Wish:
    archive = parse_url(one.url)
    whole = origins.whole_of(archive) if origins is not None else ""
    return Wish(one.url, one.name, Wanted(archive, one.count, one.first, one.last, one.asked_by), one.kind, whole)


def _read(model: type[M], response: httpx.Response) -> M:
    check(response)
    try:
        return model.model_validate_json(response.content)
    except ValidationError:
        raise no_mirror(response) from None


def _batches(urls: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(urls), _MOST_URLS):
        yield urls[start : start + _MOST_URLS]


def _queries(name: str, values: Iterable[str]) -> Iterator[str]:
    """The values as queries, as many in each as fit."""
    waiting: list[str] = []
    for value in values:
        part = f"{name}={quote(value, safe='/:')}"
        if waiting and (sum(map(len, waiting)) + len(waiting) + len(part) > _MOST_IN_TARGET or len(waiting) == _MOST_URLS):
            yield "&".join(waiting)
            waiting = []
        waiting.append(part)
    if waiting:
        yield "&".join(waiting)
