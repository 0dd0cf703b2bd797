"""The URL space of huggingface.co, and the host of its own to which it redirects for large files.

Told from what the real one answers and from the sources of huggingface_hub: what stands on which hop, which refusals have which
code, what is relative and what absolute. `python -m tests.imitations.huggingface` runs it by hand.
"""

from __future__ import annotations

import base64
import itertools
import json
import sys
import threading
from collections.abc import Callable, Mapping
from typing import Any, Self
from urllib.parse import parse_qs, quote, urlencode

from tests.imitations.repositories import File, Kind, Repository, Tree
from tests.imitations.server import Asked, Fields, Said, Server

HOST, CDN = "huggingface.co", "cas-bridge.xethub.hf.co"
BATCH = ".git/info/lfs/objects/batch"
EXPOSED = (
    "X-Repo-Commit,X-Request-Id,X-Error-Code,X-Error-Message,X-Total-Count,ETag,Link,Accept-Ranges,Content-Range,"
    "X-Linked-Size,X-Linked-ETag,X-Xet-Hash"
)


class Hub:
    """The hub and its store host; both are real servers, and count what they are asked for.

    `direct`: absolute URLs name the servers themselves, for clients without a mirror; else the real hosts.
    `resolve_cache`: small files come by a relative redirect to /api/resolve-cache/, as they do now; else at once.
    """

    def __init__(self, *, page: int = 1000, resolve_cache: bool = True, direct: bool = False) -> None:
        self.page, self.resolve_cache = page, resolve_cache
        self.repositories: dict[tuple[Kind, str], Repository] = {}
        self.renamed: dict[str, str] = {}
        """Old path of pages to the new one, such as /gpt2 to /openai-community/gpt2."""
        self.tokens: dict[str, str] = {}
        """Users, by the token that they send."""
        self.expired: set[str] = set()
        """Signatures that the store host refuses from now on."""
        self.damaged = False
        """Whether the last byte that the store host sends is another one."""
        self._signatures = itertools.count(1)
        self._stored: dict[str, File] = {}
        self.server, self.store = Server(self._answer), Server(self._stored_file)
        self.base = self.server.url if direct else f"https://{HOST}"
        self.store_base = self.store.url if direct else f"https://{CDN}"

    @property
    def url(self) -> str:
        return self.server.url

    @property
    def upstreams(self) -> dict[str, list[str]]:
        """For a mirror's settings."""
        return {HOST: [self.url], CDN: [self.store.url]}

    @property
    def sent(self) -> int:
        """Bytes of bodies that left both hosts."""
        return self.server.sent + self.store.sent

    @property
    def asked(self) -> list[Asked]:
        return [*self.server.asked, *self.store.asked]

    def forget(self) -> None:
        """Counts from zero."""
        self.server.forget()
        self.store.forget()

    def play_dead(self, *, dead: bool = True) -> None:
        """Breaks off every connection from now on, or no longer does."""
        self.server.is_dead = self.store.is_dead = dead

    def close(self) -> None:
        self.server.close()
        self.store.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def repository(self, name: str, files: Mapping[str, bytes], kind: Kind = "model", **more: Any) -> Repository:
        """A new repository with one commit."""
        repository = self.repositories[kind, name] = Repository(kind, name, **more)
        repository.commit(files)
        return repository

    # -- From a request to an answer

    def _answer(self, asked: Asked) -> Said:
        try:
            return _with_usual_fields(self._routed(asked))
        except Refusal as refusal:
            return _with_usual_fields(refusal.said())

    def _routed(self, asked: Asked) -> Said:
        path = asked.path
        for old, new in self.renamed.items():
            if path == old or path.startswith(f"{old}/") or path.removeprefix("/api/models").startswith(f"{old}/"):
                return Said(307, {"Location": asked.target.replace(old, new, 1)}, f"Temporary Redirect. Redirecting to {new}".encode())
        if path == "/api/whoami-v2":
            return self._whoami(asked)
        if path.endswith(BATCH):
            return self._batch(asked)
        if path.startswith("/api/resolve-cache/"):
            return self._resolve_cache(asked)
        if path.startswith("/api/"):
            return self._api(asked)
        return self._page(asked)

    def _user(self, asked: Asked) -> str | None:
        """By the bearer token, or by the password that git sends."""
        scheme, _, given = asked.fields.get("authorization", "").partition(" ")
        password = base64.b64decode(given).decode().partition(":")[2] if scheme == "Basic" else ""
        return self.tokens.get(asked.token or password)

    def _found(self, kind: Kind, segments: list[str], asked: Asked) -> tuple[Repository, list[str]]:
        """The repository whose name the segments begin with, if this user may know of it, and the other segments."""
        for length in (2, 1):
            repository = self.repositories.get((kind, "/".join(segments[:length])))
            if repository and (not repository.private or repository.may_read(self._user(asked))):
                return repository, segments[length:]
        if self._user(asked):
            raise Refusal(404, "RepoNotFound", "Repository not found")
        raise Refusal(401, None, "Invalid username or password.")  # which tells nobody whether there is one

    # -- Files

    def _page(self, asked: Asked) -> Said:
        segments = asked.raw_path.strip("/").split("/")
        kind = _KINDS.get(segments[0], "model")
        repository, rest = self._found(kind, segments[kind != "model" :], asked)
        if not rest:
            return Said(200, {"Content-Type": "text/html; charset=utf-8"}, f"<!doctype html><title>{repository.id}</title>".encode())
        if len(rest) < 3 or rest[0] not in ("resolve", "raw"):
            raise Refusal(404, None, "Sorry, we can't find the page you are looking for.")
        file, commit = self._file(repository, _unquoted(rest[1]), _unquoted("/".join(rest[2:])), asked)
        common = {"X-Repo-Commit": commit, "Accept-Ranges": "bytes"}
        if rest[0] == "raw":
            return Said(
                200,
                {**common, "Content-Type": "text/plain; charset=utf-8", "ETag": f'"{file.blob_id}"'},
                file.pointer if file.large else file.content,
            )
        common |= {"X-Linked-Size": str(len(file.content)), "X-Linked-ETag": file.etag}
        if file.large:
            return self._to_the_store(repository, file, commit, common)
        if not self.resolve_cache:
            return _small(file, commit)
        place = f"/api/resolve-cache/{repository.kind}s/{repository.id}/{commit}/{quote(file.path)}"
        location = f"{place}?{quote(asked.raw_path, safe='')}=&etag={quote(file.etag, safe='')}"
        return Said(307, {**common, "Location": location, **_TEXT}, f"Temporary Redirect. Redirecting to {location}".encode())

    def _file(self, repository: Repository, ref: str, path: str, asked: Asked) -> tuple[File, str]:
        if not repository.may_read(self._user(asked)):
            raise _gated(repository, self._user(asked))
        commit, tree = _tree(repository, ref)
        if path not in tree:
            raise Refusal(404, "EntryNotFound", "Entry not found", {"X-Repo-Commit": commit})
        return tree[path], commit

    def _resolve_cache(self, asked: Asked) -> Said:
        kinds, *segments = asked.path.removeprefix("/api/resolve-cache/").split("/")
        repository, rest = self._found(_KINDS[kinds], segments, asked)
        file, commit = self._file(repository, rest[0], "/".join(rest[1:]), asked)
        return _small(file, commit)

    def _to_the_store(self, repository: Repository, file: File, commit: str, common: Fields) -> Said:
        location = self._signed(repository, file)
        token = f'<{self.base}{repository.api_path}/xet-read-token/{commit}>; rel="xet-auth"'
        link = f'{token}, <https://cas-server.xethub.hf.co/v1/reconstructions/{file.xet_hash}>; rel="xet-reconstruction-info"'
        fields = {**common, "Location": location, "X-Xet-Hash": file.xet_hash, "Link": link, "Cache-Control": "no-store", **_TEXT}
        return Said(302, fields, f"Found. Redirecting to {location}".encode())

    def _signed(self, repository: Repository, file: File) -> str:
        """Where a large file is for the next hour."""
        self._stored[file.xet_hash] = file
        query = {
            "X-Amz-Algorithm": "AWS4-HMAC-SHA256",
            "X-Amz-Content-Sha256": "UNSIGNED-PAYLOAD",
            "X-Amz-Expires": "3600",
            "X-Amz-Signature": f"{next(self._signatures):064x}",
            "X-Amz-SignedHeaders": "host",
            "X-Xet-Cas-Uid": "public",
            "response-content-disposition": _disposition(file),
            "x-id": "GetObject",
        }
        return f"{self.store_base}/xet-bridge-us/{repository.id.replace('/', '-')}/{file.xet_hash}?{urlencode(query)}"

    def _batch(self, asked: Asked) -> Said:
        """Git LFS' batch API, for downloads by the transfer `basic`."""
        segments = asked.raw_path.removesuffix(BATCH).strip("/").split("/")
        kind = _KINDS.get(segments[0], "model")
        repository, _ = self._found(kind, segments[kind != "model" :], asked)
        if not repository.may_read(self._user(asked)):
            raise _gated(repository, self._user(asked))
        wanted = json.loads(asked.body)
        if wanted["operation"] != "download" or "basic" not in wanted.get("transfers", ["basic"]):
            raise Refusal(422, None, "Only downloads are imitated")
        large = {file.sha256: file for tree in repository.commits.values() for file in tree.values() if file.large}
        objects = [self._object(repository, each, large.get(each["oid"])) for each in wanted["objects"]]
        return _json({"transfer": "basic", "objects": objects, "hash_algo": "sha256"}, {"Content-Type": "application/vnd.git-lfs+json"})

    def _object(self, repository: Repository, each: Mapping[str, Any], file: File | None) -> dict[str, Any]:
        known = {"oid": each["oid"], "size": each["size"]}
        if file is None:
            return {**known, "error": {"code": 404, "message": "Object does not exist on the server"}}
        action = {"href": self._signed(repository, file), "expires_in": 3600}
        return {**known, "authenticated": True, "actions": {"download": action}}

    def _stored_file(self, asked: Asked) -> Said:
        """The store host: it knows neither repositories nor commits, and wants its signature."""
        file = self._stored.get(asked.path.rpartition("/")[2])
        signature = asked.query.get("X-Amz-Signature")
        if file is None or signature is None or signature in self.expired or "authorization" in asked.fields:
            return Said(403, {"Content-Type": "application/xml"}, b"<Error><Code>AccessDenied</Code></Error>")
        fields = {
            "Content-Type": "binary/octet-stream",
            "ETag": f'"{file.xet_hash}"',
            "Last-Modified": "Wed, 01 Oct 2025 12:00:00 GMT",
            "Accept-Ranges": "bytes",
            "Cache-Control": "public, max-age=31536000",
            "Content-Disposition": asked.query.get("response-content-disposition", "inline"),
            "X-Cache": "Hit from cloudfront",
        }
        content = file.content[:-1] + b"?" if self.damaged else file.content
        return Said(200, fields, content, whole=True)

    # -- The API

    def _whoami(self, asked: Asked) -> Said:
        user = self._user(asked)
        if user is None:
            raise Refusal(401, None, "Invalid username or password.")
        return _json({"type": "user", "id": "0", "name": user, "auth": {"accessToken": {"role": "read"}}}, {"Cache-Control": "private"})

    def _api(self, asked: Asked) -> Said:
        kinds, *segments = asked.raw_path.removeprefix("/api/").split("/")
        if kinds not in _KINDS:
            raise Refusal(404, None, "Sorry, we can't find the page you are looking for.")
        if asked.token and not self._user(asked):
            raise Refusal(401, None, "Invalid credentials in Authorization header")
        repository, rest = self._found(_KINDS[kinds], segments, asked)
        verb, *rest = rest or ["revision", "main"]
        answers: dict[str, Callable[[], Said]] = {
            "revision": lambda: _json(_info(repository, _unquoted(rest[0]), asked.query)),
            "tree": lambda: self._listing(repository, _unquoted(rest[0]), _unquoted("/".join(rest[1:])), asked),
            "paths-info": lambda: _json(_paths_info(repository, _unquoted(rest[0]), asked)),
            "refs": lambda: _json(_refs(repository)),
            "xet-read-token": lambda: self._xet_token(repository, asked),
        }
        if verb not in answers:
            raise Refusal(404, None, "Sorry, we can't find the page you are looking for.")
        return answers[verb]()

    def _listing(self, repository: Repository, ref: str, folder: str, asked: Asked) -> Said:
        commit, tree = _tree(repository, ref)
        entries = _entries(tree, folder, recursive=asked.query.get("recursive", "").lower() == "true")
        if folder and not entries:
            raise Refusal(404, "EntryNotFound", f"{folder} does not exist on {ref!r}", {"X-Repo-Commit": commit})
        start = int(asked.query.get("cursor", "0"))
        fields: Fields = {}
        if start + self.page < len(entries):
            query = urlencode({**asked.query, "limit": str(self.page), "cursor": str(start + self.page)})
            fields["Link"] = f'<{self.base}{asked.raw_path}?{query}>; rel="next"'
        return _json(entries[start : start + self.page], fields)

    def _xet_token(self, repository: Repository, asked: Asked) -> Said:
        if not repository.may_read(self._user(asked)):
            raise _gated(repository, self._user(asked))
        secret = f"xet-secret-{next(self._signatures)}"
        fields = {"X-Xet-Access-Token": secret, "X-Xet-Cas-Url": "https://cas-server.xethub.hf.co", "X-Xet-Token-Expiration": "9999999999"}
        return _json({"accessToken": secret, "casUrl": fields["X-Xet-Cas-Url"], "exp": 9999999999}, fields)


class Refusal(Exception):
    """What the hub says when it does not answer: its code and message stand in fields, too."""

    def __init__(self, status: int, code: str | None, message: str, fields: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self._status, self._code, self._message, self._fields = status, code, message, fields or {}

    def said(self) -> Said:
        told = {"X-Error-Code": self._code} if self._code else {}
        asking = {"WWW-Authenticate": 'Bearer realm="Authentication required", charset="UTF-8"'} if self._status == 401 else {}
        fields = {**self._fields, **told, "X-Error-Message": self._message, **asking, "ETag": f'W/"{len(self._message):x}-said"'}
        return Said(self._status, {**fields, **_TEXT}, self._message.encode())


_KINDS: dict[str, Kind] = {"models": "model", "datasets": "dataset", "spaces": "space"}
_TEXT = {"Content-Type": "text/plain; charset=utf-8"}


def _unquoted(segment: str) -> str:
    return Asked("GET", segment, {}).path


def _gated(repository: Repository, user: str | None) -> Refusal:
    named = f"Access to {repository.kind} {repository.id} is restricted"
    if user is None:
        return Refusal(401, "GatedRepo", f"{named}. You must have access to it and be authenticated to access it. Please log in.")
    return Refusal(
        403, "GatedRepo", f"{named} and you are not in the authorized list. Visit https://{HOST}/{repository.id} to ask for access."
    )


def _tree(repository: Repository, ref: str) -> tuple[str, Tree]:
    commit = repository.resolve(ref)
    if commit is None:
        raise Refusal(404, "RevisionNotFound", f"Invalid rev id: {ref}")
    return commit, repository.commits[commit]


def _small(file: File, commit: str) -> Said:
    fields = {
        "X-Repo-Commit": commit,
        "ETag": file.etag,
        "Content-Disposition": _disposition(file),
        "Content-Security-Policy": "default-src 'none'; sandbox",
        "Accept-Ranges": "bytes",
        "Content-Type": "text/plain; charset=utf-8",
    }
    return Said(200, fields, file.content, whole=True)


def _disposition(file: File) -> str:
    name = file.path.rpartition("/")[2]
    return f"inline; filename*=UTF-8''{quote(name)}; filename=\"{name}\";"


def _info(repository: Repository, ref: str, query: Mapping[str, str]) -> dict[str, Any]:
    commit, tree = _tree(repository, ref)
    siblings = [{"rfilename": path, **(_blob(file) if query.get("blobs") else {})} for path, file in tree.items()]
    known: dict[str, Any] = {
        "_id": "621ffdc036468d709f174338",
        "id": repository.id,
        "author": repository.id.partition("/")[0],
        "sha": commit,
        "lastModified": "2025-10-01T12:00:00.000Z",
        "createdAt": "2022-03-02T23:29:04.000Z",
        "private": repository.private,
        "gated": "auto" if repository.gated else False,
        "disabled": False,
        "downloads": 1,
        "likes": 0,
        "tags": [],
        "siblings": siblings,
    }
    return known | ({"modelId": repository.id} if repository.kind == "model" else {})


def _blob(file: File) -> dict[str, Any]:
    lfs = {"lfs": {"sha256": file.sha256, "size": len(file.content), "pointerSize": len(file.pointer)}} if file.large else {}
    return {"size": len(file.content), "blobId": file.blob_id, **lfs}


def _entry(file: File) -> dict[str, Any]:
    known: dict[str, Any] = {"type": "file", "oid": file.blob_id, "size": len(file.content), "path": file.path}
    if file.large:
        known["lfs"] = {"oid": file.sha256, "size": len(file.content), "pointerSize": len(file.pointer)}
        known["xetHash"] = file.xet_hash
    return known


def _entries(tree: Tree, folder: str, *, recursive: bool) -> list[dict[str, Any]]:
    """Files, and the folders that they are in, below `folder`."""
    inside = {path: file for path, file in tree.items() if not folder or path.startswith(f"{folder}/")}
    depth = folder.count("/") + 1 if folder else 0
    found: dict[str, dict[str, Any]] = {}
    for path, file in inside.items():
        parts = path.split("/")
        for end in range(depth + 1, len(parts)):
            place = "/".join(parts[:end])
            found.setdefault(place, {"type": "directory", "oid": file.blob_id, "size": 0, "path": place})
        found[path] = _entry(file)
    return [entry for path, entry in found.items() if recursive or path.count("/") == depth]


def _paths_info(repository: Repository, ref: str, asked: Asked) -> list[dict[str, Any]]:
    """A form as huggingface_hub sends it, or JSON."""
    is_form = "form" in asked.fields.get("content-type", "")
    paths = parse_qs(asked.body.decode()).get("paths", []) if is_form else json.loads(asked.body)["paths"]
    _, tree = _tree(repository, ref)
    entries = {entry["path"]: entry for entry in _entries(tree, "", recursive=True)}
    return [entries[path] for path in paths if path in entries]


def _refs(repository: Repository) -> dict[str, Any]:
    branches = [{"name": name, "ref": f"refs/heads/{name}", "targetCommit": commit} for name, commit in repository.refs.items()]
    return {"branches": branches, "tags": [], "converts": []}


def _json(what: object, fields: Mapping[str, str] | None = None) -> Said:
    body = json.dumps(what).encode()
    return Said(
        200,
        {"Content-Type": "application/json; charset=utf-8", "ETag": f'W/"{len(body):x}-{hash(body) & 0xFFFFFF:x}"', **(fields or {})},
        body,
    )


def _with_usual_fields(said: Said) -> Said:
    usual = {
        "X-Powered-By": "huggingface-moon",
        "X-Request-Id": "Root=1-6a118da6-09710e4b3b11484a3a651820",
        "RateLimit": '"resolvers";r=2976;t=166',
        "RateLimit-Policy": '"fixed window";"resolvers";q=3000;w=300',
        "Cross-Origin-Opener-Policy": "same-origin",
        "Referrer-Policy": "strict-origin-when-cross-origin",
        "Access-Control-Max-Age": "86400",
        "Access-Control-Allow-Origin": f"https://{HOST}",
        "Access-Control-Expose-Headers": EXPOSED,
        "Vary": "Origin",
        "X-Cache": "Error from cloudfront" if said.status >= 400 else "Miss from cloudfront",
    }
    return Said(said.status, {**usual, **said.fields}, said.body, said.whole)


def main() -> None:
    """Runs until it is interrupted, with a model and a data set in it."""
    with Hub(direct=True) as hub:
        hub.repository("org/model", {"config.json": b"{}", "model.safetensors": bytes(1_000_000), "__init__.py": b""})
        hub.repository("org/set", {"README.md": b"# set", "data/train.csv": b"a,b\n1,2\n"}, "dataset")
        sys.stdout.write(f"HF_ENDPOINT={hub.url}\n")
        sys.stdout.flush()
        threading.Event().wait()


if __name__ == "__main__":
    main()
