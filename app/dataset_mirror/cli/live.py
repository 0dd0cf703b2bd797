"""Talking to the live server of a data folder."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import httpx

from dataset_mirror.errors import DataFolderError, MirrorError, OriginUnreachable, UsageError
from dataset_mirror.serve.access import GUARD_FIELD
from dataset_mirror.settings import Settings
from dataset_mirror.store.folder import DataFolder, server_of


class ServerSaysNo(MirrorError):
    """The live server's problem document, as it said it."""


def found(settings: Settings) -> str | None:
    """The URL of the live server of the settings' data folder, or None. DataFolderError if the folder cannot be looked into."""
    root = settings.data.absolute()
    try:
        return server_of(DataFolder(root))
    except OSError as error:
        raise DataFolderError(f"The data folder {root} cannot be used: {error.strerror}.", "Give another one: --data DIR.") from None


@contextmanager
def server(url: str, settings: Settings) -> Iterator[httpx.Client]:
    """A client for the live server at `url`, allowed to change it. Raises its problems as errors."""
    fields = {GUARD_FIELD: "1"}
    if settings.token:
        fields["authorization"] = f"Bearer {settings.token}"
    try:
        with httpx.Client(base_url=url, headers=fields, trust_env=False, timeout=httpx.Timeout(10, read=None)) as client:
            yield client
    except httpx.HTTPError as error:
        raise OriginUnreachable(f"The server at {url} does not answer: {error}.", "Look at its log.") from None


def lines(url: str, settings: Settings, path: str, asked: Mapping[str, object]) -> Iterator[dict[str, Any]]:
    """What the server at `url` answers to a POST, line by line, each an object of JSON. Raises its problems as errors."""
    with server(url, settings) as client, client.stream("POST", path, json=asked) as response:
        check(response)
        for line in response.iter_lines():
            yield json.loads(line)


def ask(url: str, settings: Settings, path: str, asked: Mapping[str, object] | None = None) -> Any:
    """What the server at `url` answers to a GET, or to a POST of `asked`. Raises its problems as errors."""
    with server(url, settings) as client:
        response = client.get(path) if asked is None else client.post(path, json=asked)
        check(response)
        return response.json()


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
    except ValueError:
        problem = {"detail": f"The server answered {response.status_code}."}
    kind = UsageError if response.status_code == 400 else ServerSaysNo
    raise kind(str(problem.get("detail", "")), str(problem.get("hint", "")))
