"""The bucket: objects that are written once, under names that no other ever had. Calls block: they belong into a thread."""

import re
import secrets
from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import obstore
from obstore.exceptions import BaseError
from obstore.store import S3Store

from dataset_mirror.origins import sharing

_SIGNED = timedelta(hours=1)
_OURS = re.compile(r"[0-9a-f]{2}/[0-9a-f]{64}-[0-9a-f]{12}")
"""How `name_for` makes names."""
_FAILED = (BaseError, OSError, ValueError)


class BucketFails(Exception):
    """The bucket cannot be reached, refuses, or broke off. The text says which, in one line."""


class Bucket:
    """The bucket that the settings name."""

    def __init__(self, known: sharing.Bucket) -> None:
        self.url = known.url
        given: dict[str, Any] = {
            "endpoint": known.endpoint,
            "region": known.region,
            "access_key_id": known.access_key_id,
            "secret_access_key": known.secret_access_key.get_secret_value() if known.secret_access_key else None,
        }
        try:
            self._store = S3Store(
                known.name,
                prefix=known.prefix or None,
                client_options={"allow_http": True, "connect_timeout": "3s", "timeout": "120s"},
                retry_config={"max_retries": 2, "retry_timeout": timedelta(seconds=20)},
                **{name: value for name, value in given.items() if value},
            )
        except _FAILED as error:
            raise BucketFails(_said(error)) from error

    def name_for(self, sha256: str) -> str:
        """A name for an object with these bytes, which no other has."""
        return f"{sha256[:2]}/{sha256}-{secrets.token_hex(6)}"

    def check(self) -> None:
        """BucketFails if its objects cannot be listed."""
        try:
            next(iter(obstore.list(self._store, chunk_size=1)), None)
        except _FAILED as error:
            raise BucketFails(_said(error)) from error

    def put(self, name: str, file: Path) -> None:
        """Uploads a file, in parts if it is large. BucketFails; FileNotFoundError if there is no such file."""
        if not file.exists():
            raise FileNotFoundError(file)
        try:
            obstore.put(self._store, name, file, max_concurrency=4, chunk_size=8 * 1024 * 1024)
        except _FAILED as error:
            raise BucketFails(_said(error)) from error

    def url_of(self, name: str) -> str:
        """A URL at which the object may be read for an hour."""
        try:
            return obstore.sign(self._store, "GET", name, _SIGNED)
        except _FAILED as error:
            raise BucketFails(_said(error)) from error

    def read(self, name: str) -> Iterator[memoryview]:
        """The bytes of an object, part by part. BucketFails; FileNotFoundError if there is no such object."""
        try:
            for part in obstore.get(self._store, name).stream(min_chunk_size=1024 * 1024):
                yield memoryview(part)
        except FileNotFoundError:
            raise
        except _FAILED as error:
            raise BucketFails(_said(error)) from error

    def delete(self, name: str) -> None:
        """Removes an object; nothing happens if there is none."""
        try:
            with suppress(FileNotFoundError):
                obstore.delete(self._store, name)
        except _FAILED as error:
            raise BucketFails(_said(error)) from error

    def names(self) -> Iterator[tuple[str, float]]:
        """All objects of mirrors, and when they were written (seconds since the epoch); what others keep there is passed over."""
        try:
            for part in obstore.list(self._store):
                for found in part:
                    if _OURS.fullmatch(found["path"]):
                        yield found["path"], found["last_modified"].timestamp()
        except _FAILED as error:
            raise BucketFails(_said(error)) from error


def _said(error: BaseException) -> str:
    """What went wrong, without the library's own notes for its developers and without what is signed."""
    text = str(error).partition("\n\nDebug source")[0].partition("?X-Amz")[0]
    return " ".join(text.split())[:300].rstrip(".")
