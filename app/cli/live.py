"""Talking to the live server of a data folder."""

import json
from collections.abc import Iterator
from contextlib import contextmanager

import httpx

from app.errors import DataFolderError, MirrorError, OriginUnreachable
from app.serve.access import GUARD_FIELD
from app.settings import Settings
from app.store.folder import DataFolder, server_of


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


def check(response: httpx.Response) -> None:
    """Raises the problem that a response is, if it is one."""
    if response.is_success:
        return
    try:
        problem = json.loads(response.read())
    except ValueError:
        problem = {"detail": f"The server answered {response.status_code}."}
    raise ServerSaysNo(str(problem.get("detail", "")), str(problem.get("mend", "")))
