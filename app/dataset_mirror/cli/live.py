"""Talking to a mirror over HTTP: the live server of a data folder, or one somewhere else."""

import json
import re
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import httpx

from dataset_mirror.errors import DataFolderError, MirrorError, OriginUnreachable, UsageError
from dataset_mirror.serve.access import GUARD_FIELD
from dataset_mirror.settings import Settings
from dataset_mirror.store.filling import server_of
from dataset_mirror.store.folder import DataFolder


class ServerSaysNo(MirrorError):
    """The mirror's problem document, as it said it."""

    is_foreign = False
    """Whether what answered is not a mirror at all."""


def found(settings: Settings) -> str | None:
    """The URL of the live server of the settings' data folder, or None. DataFolderError if the folder cannot be looked into."""
    root = settings.data.absolute()
    try:
        return server_of(DataFolder(root))
    except OSError as error:
        raise DataFolderError(f"The data folder {root} cannot be used: {error.strerror}.", "Choose another: --data DIR.") from None


@contextmanager
def server(url: str, secret: str | None) -> Iterator[httpx.Client]:
    """A client for the mirror at `url`; `secret` is what lets it change that mirror. OriginUnreachable if it does not answer."""
    fields = {GUARD_FIELD.encode(): b"1"}
    if secret:
        fields[b"authorization"] = f"Bearer {secret}".encode()
    # Not by the environment's proxy, which may be this very mirror; the client's own CAs (SSL_CERT_FILE) count.
    verify = ssl.create_default_context() if url.startswith("https:") else True
    try:
        with httpx.Client(base_url=url, headers=fields, trust_env=False, verify=verify, timeout=httpx.Timeout(10, read=None)) as client:
            yield client
    except httpx.HTTPError as error:
        raise unreachable(url, error) from None


def unreachable(url: str, error: httpx.HTTPError) -> OriginUnreachable:
    """Why a mirror does not answer, and what to do about it."""
    said = re.sub(r"^\[Errno -?\d+\] ", "", str(error)) or "no answer in time"
    if "WRONG_VERSION_NUMBER" in said:
        plain = url.replace("https:", "http:", 1)
        return OriginUnreachable(f"What listens at {url} does not speak https.", f"Use {plain}, or the port of --tls-port.")
    return OriginUnreachable(f"The mirror at {url} does not answer: {said}.", "Check its URL and port, and that it is running.")


def lines(client: httpx.Client, path: str, asked: Mapping[str, object]) -> Iterator[dict[str, Any]]:
    """What a mirror answers to a POST, line by line, each an object of JSON. Raises its problems as errors."""
    with client.stream("POST", path, json=asked) as response:
        check(response)
        for line in response.iter_lines():
            yield json.loads(line)


def error_of(known: Mapping[str, Any]) -> MirrorError | None:
    """The error that a line tells of, if it does."""
    said = known.get("error")
    return MirrorError(said["detail"], said["hint"]) if said else None


def check(response: httpx.Response) -> None:
    """Raises the problem that a response is, if it is one."""
    if response.is_success:
        return
    try:
        problem = json.loads(response.read())
        detail, hint = str(problem["detail"]), str(problem.get("hint", ""))
    except (ValueError, KeyError, TypeError):
        raise no_mirror(response) from None
    raise (UsageError if response.status_code == 400 else ServerSaysNo)(detail, hint)


def no_mirror(response: httpx.Response) -> ServerSaysNo:
    """The error for an answer that no mirror of this version gives."""
    target = response.headers.get("location")
    hint = f"It redirects to {target}." if target else "Check --mirror, or DATASET_MIRROR_URL."
    error = ServerSaysNo(f"What answers at {response.url} ({response.status_code}) is not a dataset-mirror of this version.", hint)
    error.is_foreign = True
    return error
