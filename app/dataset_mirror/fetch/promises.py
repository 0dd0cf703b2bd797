"""What an index of packages says of a file before it is fetched: its bytes are then held against that."""

import asyncio
import logging
from dataclasses import replace

from dataset_mirror.errors import MirrorError
from dataset_mirror.fetch.job import Job
from dataset_mirror.fetch.reply import Broken
from dataset_mirror.fetch.upstream import Upstream
from dataset_mirror.origins.asked import Question, asked
from dataset_mirror.origins.identity import ArchiveId, parse_url
from dataset_mirror.origins.model import CatalogEntry
from dataset_mirror.rules.package_index import digest_in_index, project_of
from dataset_mirror.settings import Configuration
from dataset_mirror.store.listing import Query
from dataset_mirror.store.store import Store

log = logging.getLogger(__name__)

_JSON = "application/vnd.pypi.simple.v1+json, text/html;q=0.5"
SECONDS = 30.0
"""For which whoever asks for a file waits for its index at most."""
_LONGEST = 64 * 1024 * 1024
"""Bytes of an index page that are read."""


class Promises:
    """Looks files up in the index that the rule of their path names: in pages that are stored, else at the index itself."""

    def __init__(self, configuration: Configuration, upstream: Upstream, store: Store) -> None:
        self._configuration, self._upstream, self._store = configuration, upstream, store

    async def of(self, job: Job) -> Job:
        """The job with the digest that the index has for it. As it is if nothing is known: its client will look for itself."""
        if job.expected is not None or job.rule is None or job.rule.index is None:
            return job
        page = job.rule.index.replace("{project}", project_of(job.archive.name))
        try:
            async with asyncio.timeout(SECONDS):
                digest = await self._stored(page, job.url) or await self._asked(page, job.url)
        except (MirrorError, Broken, OSError) as error:  # TimeoutError is one
            log.info("The index %s does not say what %s is: %s", page, job.url, str(error) or "it takes too long")
            return job
        if digest is None:
            log.info("The index %s has no digest of %s.", page, job.url)
            return job
        return replace(job, expected=CatalogEntry(url=job.url, sha256=(digest,)), promised_by="its index has")

    async def _stored(self, page: str, url: str) -> str | None:
        """What the newest stored page says that has the file; whatever a client accepted when it came."""
        prefix = f"{parse_url(page)}#accept="
        found = [line.record for line in self._store.index.every(Query(prefix=prefix, limit=50))]
        for record in sorted(found, key=lambda one: one.checked, reverse=True):
            if record.size <= _LONGEST and (digest := await asyncio.to_thread(self._read, record.sha256, page, url)):
                return digest
        return None

    def _read(self, sha256: str, page: str, url: str) -> str | None:
        with self._store.blobs.open(sha256) as file:
            return digest_in_index(file.read(), page, url)

    async def _asked(self, page: str, url: str) -> str | None:
        archive: ArchiveId = parse_url(page)
        origin = self._configuration.origins.of(archive)
        question = replace(asked(origin, archive).question, accept=_JSON) if origin.rule(archive.path) else Question(accept=_JSON)
        reply = await self._upstream.ask(origin, archive, question=question)
        try:
            if reply.status != 200 or reply.encoding:
                return None
            text = await reply.text(_LONGEST)
        finally:
            await reply.close()
        return await asyncio.to_thread(digest_in_index, text.encode(), page, url)
