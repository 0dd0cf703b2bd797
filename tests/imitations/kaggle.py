"""Kaggle's API, as far as kagglehub and plain downloads go: POST, redirects to URLs that are signed afresh each time, private data sets."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import secrets
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field

from tests.imitations.server import Answer, Asked, Said

API, WEB, STORAGE = "api.kaggle.com", "www.kaggle.com", "storage.googleapis.com"
JSON = {"Content-Type": "application/json", "Cache-Control": "private, no-cache", "Set-Cookie": "ka_sessionid=1; Path=/; Secure"}


def zipped(files: Mapping[str, bytes]) -> bytes:
    """A ZIP file with these members, the same each time."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        for name, content in files.items():
            archive.writestr(zipfile.ZipInfo(name), content)
    return made.getvalue()


@dataclass
class DataSet:
    """A data set's files; `readers` are the tokens of those who may have it, if not everybody."""

    files: dict[str, bytes]
    version: int = 1
    readers: frozenset[str] | None = None


@dataclass
class Kaggle:
    """Data sets and models by owner and name."""

    sets: dict[str, DataSet] = field(default_factory=dict)
    signed: set[str] = field(default_factory=set)

    @property
    def sites(self) -> dict[str, Answer]:
        return {API: self.api, WEB: self.web, STORAGE: self.storage}

    def api(self, asked: Asked) -> Said:
        """A method of a service, which takes a JSON object."""
        if asked.method != "POST":
            return Said(405, JSON, b"{}")
        said, method = json.loads(asked.body), asked.raw_path.rpartition("/")[2]
        if "modelSlug" in said:
            return self._of_model(method, said, asked.token)
        key = f"{said.get('ownerSlug')}/{said.get('datasetSlug')}"
        if refusal := self._refused(key, asked.token):
            return refusal
        if method == "GetDataset":
            return Said(200, JSON, json.dumps({"currentVersionNumber": self.sets[key].version, "ref": key}).encode())
        if method == "DownloadDataset":
            return self._led(key, said.get("fileName"))
        return Said(404, JSON, b'{"code": 404, "message": "no such method"}')

    def _of_model(self, method: str, said: Mapping[str, object], token: str | None) -> Said:
        key = f"{said['ownerSlug']}/{said['modelSlug']}"
        if refusal := self._refused(key, token):
            return refusal
        if method == "ListModelInstanceVersionFiles":
            return Said(200, JSON, json.dumps({"files": [{"name": name} for name in self.sets[key].files]}).encode())
        if method == "GetModelInstance":
            return Said(200, JSON, json.dumps({"versionNumber": self.sets[key].version}).encode())
        return self._led(key, str(said["path"])) if "path" in said else self._led(key, None)

    def web(self, asked: Asked) -> Said:
        """The plain API: GET /api/v1/datasets/download/OWNER/NAME."""
        key = asked.raw_path.removeprefix("/api/v1/datasets/download/")
        return self._refused(key, asked.token) or self._led(key, None)

    def _refused(self, key: str, token: str | None) -> Said | None:
        known = self.sets.get(key)
        if known is None:
            return Said(404, JSON, b'{"code": 404, "message": "Not found"}')
        if known.readers is not None and token not in known.readers:
            return Said(403, JSON, b'{"code": 403, "message": "Permission \'datasets.get\' was denied"}')
        return None

    def _led(self, key: str, file: str | None) -> Said:
        mark = secrets.token_hex(16)
        self.signed.add(mark)
        name = "archive.zip" if file is None else f"{file}.zip" if file.endswith(".csv") else file
        query = f"X-Goog-Algorithm=GOOG4-RSA-SHA256&X-Goog-Expires=259200&X-Goog-SignedHeaders=host&X-Goog-Signature={mark}"
        return Said(302, {**JSON, "Location": f"https://{STORAGE}/kaggle-data-sets/{key}/bundle/{name}?{query}"})

    def storage(self, asked: Asked) -> Said:
        """Where the bytes are, for whoever has a signature; objects of a bucket that is not public."""
        if asked.query.get("X-Goog-Signature") not in self.signed or "authorization" in asked.fields:
            return Said(403, {"Content-Type": "application/xml"}, b"<?xml version='1.0'?><Error><Code>AccessDenied</Code></Error>")
        owner, name, _, file = asked.raw_path.removeprefix("/kaggle-data-sets/").split("/", 3)
        files = self.sets[f"{owner}/{name}"].files
        content = zipped(files if file == "archive.zip" else {file[:-4]: files[file[:-4]]}) if file.endswith(".zip") else files[file]
        md5 = hashlib.md5(content, usedforsecurity=False).digest()
        fields = {
            "Content-Type": "application/zip",
            "Cache-Control": "private, max-age=0",
            "ETag": f'"{md5.hex()}"',
            "Last-Modified": "Wed, 23 Nov 2022 10:00:00 GMT",
            "X-Goog-Hash": f"md5={base64.b64encode(md5).decode()}",
            "Accept-Ranges": "bytes",
        }
        return Said(200, fields, content, whole=True)
