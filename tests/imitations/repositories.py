"""Repositories as a hub has them: commits, names that move, files that git keeps itself or points to."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Kind = Literal["model", "dataset", "space"]
LARGE = (".safetensors", ".bin", ".parquet", ".h5", ".msgpack", ".onnx", ".zip", ".gz")
"""Endings that `.gitattributes` sends to LFS."""


@dataclass(frozen=True)
class File:
    """A file of a commit; a large one lies in LFS, and git has a pointer only."""

    path: str
    content: bytes
    large: bool

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.content).hexdigest()

    @property
    def pointer(self) -> bytes:
        """git-lfs' pointer file, version 1."""
        return f"version https://git-lfs.github.com/spec/v1\noid sha256:{self.sha256}\nsize {len(self.content)}\n".encode()

    @property
    def blob_id(self) -> str:
        """git's own name for what git keeps."""
        kept = self.pointer if self.large else self.content
        return hashlib.sha1(b"blob %d\0" % len(kept) + kept, usedforsecurity=False).hexdigest()

    @property
    def xet_hash(self) -> str:
        return hashlib.sha256(b"xet" + self.content).hexdigest()

    @property
    def etag(self) -> str:
        """What the hub calls it: the SHA-256 of what lies in LFS, else git's name."""
        return f'"{self.sha256 if self.large else self.blob_id}"'


Tree = dict[str, File]


@dataclass
class Repository:
    """A repository; `readers` are the users that may read it if it is private or gated."""

    kind: Kind
    id: str
    gated: bool = False
    private: bool = False
    readers: set[str] = field(default_factory=set)
    commits: dict[str, Tree] = field(default_factory=dict)
    refs: dict[str, str] = field(default_factory=dict)

    @property
    def url_path(self) -> str:
        """Where its pages are."""
        return f"/{self.id}" if self.kind == "model" else f"/{self.kind}s/{self.id}"

    @property
    def api_path(self) -> str:
        return f"/api/{self.kind}s/{self.id}"

    def commit(self, files: Mapping[str, bytes], ref: str = "main") -> str:
        """A new commit with exactly these files, which `ref` means from now on. Its hash."""
        tree = {path: File(path, content, path.endswith(LARGE)) for path, content in sorted(files.items())}
        named = "".join(f"{path} {file.sha256}\n" for path, file in tree.items())
        commit = hashlib.sha1(f"{self.id} {len(self.commits)}\n{named}".encode(), usedforsecurity=False).hexdigest()
        self.commits[commit] = tree
        self.refs[ref] = commit
        return commit

    def resolve(self, ref: str) -> str | None:
        """The commit that a branch, a tag or a commit's own hash means."""
        return self.refs.get(ref) or self.refs.get(ref.removeprefix("refs/heads/")) or (ref if ref in self.commits else None)

    def may_read(self, user: str | None) -> bool:
        return user in self.readers or not (self.gated or self.private)
