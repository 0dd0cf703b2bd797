"""A package index and the host of its files, as pip and uv ask for them: HTML or JSON by Accept, digests, metadata beside wheels."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from dataclasses import dataclass, field

from tests.imitations.server import Answer, Asked, Said
from tests.imitations.web import found, missing

INDEX, FILES = "pypi.org", "files.pythonhosted.org"
JSON = "application/vnd.pypi.simple.v1+json"


def wheel(name: str, version: str, *needs: str, content: bytes = b"VALUE = 1\n") -> tuple[str, bytes]:
    """File name and bytes of a wheel."""
    made, folder = io.BytesIO(), f"{name}-{version}.dist-info"
    with zipfile.ZipFile(made, "w") as packed:
        for path, text in {
            f"{name}/__init__.py": content,
            f"{folder}/METADATA": metadata(name, version, *needs),
            f"{folder}/WHEEL": b"Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
            f"{folder}/RECORD": b"",
        }.items():
            packed.writestr(zipfile.ZipInfo(path), text)
    return f"{name}-{version}-py3-none-any.whl", made.getvalue()


def metadata(name: str, version: str, *needs: str) -> bytes:
    lines = [f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n", *(f"Requires-Dist: {need}\n" for need in needs)]
    return "".join(lines).encode()


@dataclass
class Index:
    """Projects and their files. `damaged`: names of files of which other bytes are sent than the index says."""

    projects: dict[str, dict[str, bytes]] = field(default_factory=dict)
    metadata: dict[str, bytes] = field(default_factory=dict)
    damaged: set[str] = field(default_factory=set)

    def add(self, name: str, version: str, *needs: str) -> str:
        """Adds a wheel. Its file's name."""
        file, content = wheel(name, version, *needs)
        self.projects.setdefault(name.replace("_", "-"), {})[file] = content
        self.metadata[file] = metadata(name, version, *needs)
        return file

    @property
    def sites(self) -> dict[str, Answer]:
        return {INDEX: self.index, FILES: self.files}

    def url(self, file: str) -> str:
        """Where a file is, as the index names it."""
        digest = hashlib.blake2b(file.encode(), digest_size=32).hexdigest()
        return f"https://{FILES}/packages/{digest[:2]}/{digest[2:4]}/{digest[4:]}/{file}"

    def index(self, asked: Asked) -> Said:
        """`/simple/NAME/`."""
        name = asked.raw_path.removeprefix("/simple/")
        if not name.endswith("/"):
            return Said(301, {"Location": f"/simple/{name}/"})
        files = self.projects.get(name[:-1])
        if files is None or not asked.raw_path.startswith("/simple/"):
            return missing(asked)
        as_json = JSON in asked.fields.get("accept", "")
        body = self._json(name[:-1], files) if as_json else self._html(name[:-1], files)
        tag = f'"{hashlib.md5(body, usedforsecurity=False).hexdigest()}"'
        fields = {"ETag": tag, "Vary": "Accept, Accept-Encoding", "Cache_Control": "max-age=600, public"}
        return found(body, JSON if as_json else "text/html; charset=utf-8", **fields)

    def _json(self, name: str, files: dict[str, bytes]) -> bytes:
        listed = [
            {
                "filename": file,
                "url": self.url(file),
                "hashes": {"sha256": hashlib.sha256(content).hexdigest()},
                "core-metadata": {"sha256": hashlib.sha256(self.metadata[file]).hexdigest()},
                "size": len(content),
                "upload-time": "2024-01-01T00:00:00Z",
                "yanked": False,
            }
            for file, content in files.items()
        ]
        return json.dumps({"meta": {"api-version": "1.1"}, "name": name, "files": listed, "versions": []}).encode()

    def _html(self, name: str, files: dict[str, bytes]) -> bytes:
        links = [
            f'<a href="{self.url(file)}#sha256={hashlib.sha256(content).hexdigest()}" data-core-metadata="sha256='
            f'{hashlib.sha256(self.metadata[file]).hexdigest()}">{file}</a><br />\n'
            for file, content in files.items()
        ]
        return f"<!DOCTYPE html><html><head><title>Links for {name}</title></head><body>\n{''.join(links)}</body></html>".encode()

    def files(self, asked: Asked) -> Said:
        """A file, or the metadata of a wheel."""
        file = asked.raw_path.rpartition("/")[2]
        is_metadata = file.endswith(".metadata")
        wheel = file.removesuffix(".metadata")
        content = next((files[wheel] for files in self.projects.values() if wheel in files), None)
        if content is None or not asked.raw_path.startswith("/packages/"):
            return missing(asked)
        if is_metadata:
            content = self.metadata[wheel]
        if file in self.damaged:
            content = content[:-1] + bytes([content[-1] ^ 1])
        tag = f'"{hashlib.md5(content, usedforsecurity=False).hexdigest()}"'
        return found(content, "application/octet-stream", ETag=tag, Last_Modified="Mon, 01 Jan 2024 00:00:00 GMT")
