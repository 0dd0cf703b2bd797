"""A mirror that answers over HTTP: the live server of a data folder, or one somewhere else."""

from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from typing import Any, TypeVar
from urllib.parse import quote

import httpx
from pydantic import BaseModel, ValidationError

from dataset_mirror.airgap.preflight.presence import Presence
from dataset_mirror.cli.live import ServerSaysNo, check
from dataset_mirror.status.models import Catalog, Checked, WantAnswer

M = TypeVar("M", bound=BaseModel)
_MOST_IN_TARGET = 6000
"""Bytes of URLs in one request, well within what a mirror takes as a request's target."""
_MOST_URLS = 500


class There:
    """What a mirror says of its archives and catalog."""

    def __init__(self, client: httpx.Client) -> None:
        self._client = client
        self.offline = False

    @cached_property
    def names(self) -> Mapping[str, list[str]]:
        catalog = self._ask(Catalog, "GET", "/status/catalog")
        return {dataset.name: [archive.url for archive in dataset.archives] for dataset in catalog.datasets}

    def look(self, urls: Iterable[str]) -> Mapping[str, Presence]:
        found: dict[str, Presence] = {}
        for query in _queries(urls):
            answer = self._ask(Checked, "GET", f"/status/check?{query}")
            self.offline = answer.offline
            found |= {one.url: Presence(**one.model_dump()) for one in answer.archives}
        return found

    def want(self, urls: Iterable[str]) -> list[str]:
        missing = list(urls)
        listed: list[str] = []
        for start in range(0, len(missing), 10_000):
            listed += self._ask(WantAnswer, "POST", "/api/want", {"archives": missing[start : start + 10_000]}).wanted
        return listed

    def _ask(self, model: type[M], method: str, path: str, asked: Any = None) -> M:
        response = self._client.request(method, path, json=asked)
        check(response)
        try:
            return model.model_validate_json(response.content)
        except ValidationError:
            raise ServerSaysNo(f"{response.url} does not answer as a mirror of this version does.", "Check the URL.") from None


def _queries(urls: Iterable[str]) -> Iterator[str]:
    """The URLs as queries, as many in each as fit."""
    waiting: list[str] = []
    for url in urls:
        part = f"url={quote(url, safe='/:')}"
        if waiting and (sum(map(len, waiting)) + len(waiting) + len(part) > _MOST_IN_TARGET or len(waiting) == _MOST_URLS):
            yield "&".join(waiting)
            waiting = []
        waiting.append(part)
    if waiting:
        yield "&".join(waiting)
