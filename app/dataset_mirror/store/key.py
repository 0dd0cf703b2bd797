"""The data folder's own key. Who may read it may change the mirror beside it, on the same machine."""

import secrets
import stat
from contextlib import suppress

from dataset_mirror.errors import DataFolderError
from dataset_mirror.store import durable
from dataset_mirror.store.folder import DataFolder

_LENGTH = 43
"""Characters of 32 random bytes in URL-safe Base64."""


def known_key(folder: DataFolder) -> str | None:
    """The key, if there is one that this user may read."""
    try:
        key = folder.key.read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        return None
    return key if len(key) == _LENGTH else None


def made_key(folder: DataFolder) -> str:
    """The key, made if it is missing, broken, or was readable for others. DataFolderError if it cannot be written."""
    try:
        if _is_private(folder) and (key := known_key(folder)):
            return key
        return _made(folder)
    except OSError as error:
        raise DataFolderError(
            f"The key {folder.key} cannot be written: {error.strerror}.", "Check the data folder's permissions."
        ) from None


def _is_private(folder: DataFolder) -> bool:
    with suppress(FileNotFoundError):
        return not stat.S_IMODE(folder.key.stat().st_mode) & 0o077
    return False


def _made(folder: DataFolder) -> str:
    """Readable for its owner alone from its first byte on, and durable before anybody relies on it."""
    key = secrets.token_urlsafe(32)
    durable.replace(folder.key, key.encode() + b"\n", durable.SECRET)
    return key
