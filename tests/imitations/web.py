"""Several hosts of the web on one server: each answers below `/HOST`, and the mirror's upstreams lead there."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace

from tests.imitations.server import Answer, Asked, Said, Server


class Web(Server):
    """Hosts by name. Whatever else is asked for is a 404."""

    def __init__(self, sites: Mapping[str, Answer]) -> None:
        self.sites = dict(sites)
        super().__init__(self._of_site)

    @property
    def upstreams(self) -> dict[str, list[str]]:
        """For a mirror's settings."""
        return {host: [f"{self.url}/{host}"] for host in self.sites}

    def _of_site(self, asked: Asked) -> Said:
        host, _, rest = asked.target[1:].partition("/")
        site = self.sites.get(host)
        return site(replace(asked, target=f"/{rest}")) if site else Said(404, {"Content-Type": "text/plain"}, b"no such host")

    def asked_of(self, host: str) -> list[Asked]:
        """What one host was asked for."""
        return [replace(each, target=each.target[len(host) + 1 :]) for each in self.asked if each.target.startswith(f"/{host}/")]


def found(content: bytes, kind: str = "application/octet-stream", **fields: str) -> Said:
    """A file as most servers send it; fields' names are written with `_` in place of hyphens."""
    named = {name.replace("_", "-"): value for name, value in fields.items()}
    return Said(200, {"Content-Type": kind, "Accept-Ranges": "bytes", **named}, content, whole=True)


def static(files: Mapping[str, bytes], kind: str = "application/octet-stream") -> Answer:
    """A host that has these files, by path, with tags of their MD5."""

    def answer(asked: Asked) -> Said:
        content = files.get(asked.raw_path)
        if content is None:
            return missing(asked)
        tag = f'"{hashlib.md5(content, usedforsecurity=False).hexdigest()}"'
        return found(content, kind, ETag=tag, Last_Modified="Mon, 01 Jan 2024 00:00:00 GMT")

    return answer


def missing(_: Asked) -> Said:
    return Said(404, {"Content-Type": "text/plain; charset=utf-8"}, b"404: Not Found")
