"""Working on a data folder without a live server."""

import getpass
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING

import click

from dataset_mirror.errors import DataFolderError, UsageError
from dataset_mirror.settings import Configuration
from dataset_mirror.store.changes import act_as
from dataset_mirror.store.folder import DataFolder
from dataset_mirror.store.listing import Lister
from dataset_mirror.store.store import Store, open_store

if TYPE_CHECKING:
    from dataset_mirror.mirror import Mirror
    from dataset_mirror.store.shared.store import SharedStore


@contextmanager
def store_of(configuration: Configuration, *, new: bool = False) -> Iterator[Store]:
    """The store of the settings' data folder. DataFolderError if there is none yet, unless it may be `new`."""
    root = configuration.settings.data.absolute()
    if not new and not DataFolder(root).exists:
        raise DataFolderError(f"There is no mirror's data in {root}.", "Give its folder: --data DIR; or start with dataset-mirror serve.")
    act_as(f"{_user()} ({_verb()})")
    store = open_store(configuration)
    try:
        yield store
    finally:
        store.close()


@contextmanager
def listing_of(configuration: Configuration, store: Store) -> Iterator[Lister]:
    """What people's words are looked up in: what is stored here and, of several mirrors, what only their bucket has.

    SharedAway if nothing was found, and that may be because the database is away.
    """
    if configuration.settings.shared is None:
        yield store.index
        return
    with shared_of(configuration, store) as shared:
        everywhere = shared.everywhere()
        try:
            yield everywhere
        except UsageError as error:
            raise everywhere.trouble or error from None


@contextmanager
def shared_of(configuration: Configuration, store: Store) -> Iterator["SharedStore"]:
    """The store that several mirrors share, for questions only; it is one of the settings."""
    from dataset_mirror.mirror import Mirror

    shared = Mirror(configuration, store).shared
    assert shared is not None
    with shared.asking():
        yield shared


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # in a container the user may have no name
        return f"user {os.getuid()}"


def _verb() -> str:
    context = click.get_current_context(silent=True)
    return f"dataset-mirror {context.info_name}" if context else "dataset-mirror"


@asynccontextmanager
async def mirror_of(configuration: Configuration, *, new: bool = False, repair: bool = True) -> AsyncIterator["Mirror"]:
    """A mirror in this process, which has the folder's lock. `new`: the folder may be made; `repair`: leftovers are cleared first."""
    from dataset_mirror.mirror import running  # with all that fetches: commands that only look need not wait for it

    with store_of(configuration, new=new) as store:
        store.lock(repair=repair)
        async with running(configuration, store) as mirror:
            yield mirror
