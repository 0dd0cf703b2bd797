"""Checks of what a mirror runs on: its data folder, its disk, its clock, its upstreams."""

import asyncio
import os
import stat
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from pathlib import Path
from shlex import quote
from tempfile import TemporaryFile

from dataset_mirror.errors import DataFolderError, NotAllowed
from dataset_mirror.fetch.reply import Broken, Reply
from dataset_mirror.fetch.upstream import Upstream
from dataset_mirror.rules.counted import are, counted
from dataset_mirror.settings import Configuration
from dataset_mirror.store.folder import NETWORK_FILE_SYSTEMS, OTHERS, DataFolder, file_system
from dataset_mirror.store.listing import Query
from dataset_mirror.store.record import Record
from dataset_mirror.store.store import Store
from dataset_mirror.upkeep.agreement import disagreements

_CLOCK_SECONDS = 300.0
"""A clock that is further off makes validators and certificates wrong."""
_NOT_SECRET = 0o077
"""Permissions that a secret has not."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One fact, and its hint: without one all is well."""

    what: str
    fact: str
    hint: str = ""

    @property
    def is_good(self) -> bool:
        return not self.hint


def check_folder(configuration: Configuration) -> Iterator[Finding]:
    """The data folder: whose it is, who may write it, what it is on. Nothing is made there but a file without a name."""
    root = configuration.settings.data.absolute()
    if not root.is_dir():
        yield Finding("data folder", f"There is no folder {root}.", "Start once: dataset-mirror serve; or give its folder: --data DIR.")
        return
    if not DataFolder(root).exists:
        yield Finding("data folder", f"{root} is no mirror's.", "Start once: dataset-mirror serve; or give its folder: --data DIR.")
        return
    yield _writable(root)
    yield from _permissions(root)
    yield _file_system(configuration, root)


def _writable(root: Path) -> Finding:
    try:
        with TemporaryFile(dir=root):
            return Finding("data folder", f"{root} can be written.")
    except OSError as error:
        hint = "Give the mirror's user the right to write there, or free some room."
        return Finding("data folder", f"{root} cannot be written: {error.strerror}.", hint)


def _permissions(root: Path) -> Iterator[Finding]:
    """Whether more people than the mirror's user and group may read it, or others than its user write it."""
    wide = list(_too_open(root))
    if wide:
        path, mode = wide[0]
        which = f"{path} is" if len(wide) == 1 else f"{len(wide):,} files or folders, such as {path}, are"
        fact = f"{which} open to others, or to its group for writing ({stat.filemode(mode)[1:]})."
        yield Finding("permissions", fact, f"Run: chmod -R u+rwX,g-w,o= {quote(str(root))}")
    else:
        yield Finding("permissions", f"Its permissions are {stat.filemode(root.stat().st_mode)[1:]}, and nothing in it is open to others.")
    key = DataFolder(root).key
    if key.exists() and key.stat().st_mode & _NOT_SECRET:
        fact = f"Others may read {key}, and with it change what is served."
        yield Finding("api.key", fact, f"Run: rm {quote(str(key))}; then restart the mirror, which makes another one.")


def _too_open(root: Path) -> Iterator[tuple[Path, int]]:
    """What is too open of the folder and all in it, with its mode; symbolic links have none, and what may not be read is passed over."""
    if (mode := root.stat().st_mode) & OTHERS:
        yield root, mode
    for folder, folders, files in os.walk(root):
        for name in (*folders, *files):
            with suppress(OSError):  # it went while we look
                mode = os.lstat(f"{folder}/{name}").st_mode
                if mode & OTHERS and not stat.S_ISLNK(mode):
                    yield Path(folder, name), mode


def _file_system(configuration: Configuration, root: Path) -> Finding:
    kind = file_system(root)
    if kind in NETWORK_FILE_SYSTEMS and configuration.settings.database is None:
        hint = 'Keep the index on a local disk: database = "sqlite:////var/lib/dataset-mirror/index.db" in mirror.toml.'
        return Finding("file system", f"It is on {kind}, where the index' database cannot work.", hint)
    return Finding("file system", f"It is on {kind}.")


def check_store(store: Store) -> Iterator[Finding]:
    """Room, and what the tree leaves out. Blocks for as long as reading the whole index takes."""
    yield from _room(store)
    yield from check_agreement(store)
    yield _tree(store)


def _room(store: Store) -> Iterator[Finding]:
    space = store.space
    fact = f"{counted(space.free, 'byte')} {are(space.free)} free; {space.min_free:,} of them stay so (min_free)."
    hint = "Look at what could go: dataset-mirror gc --dry-run; or change max_size or min_free."
    yield Finding("space", fact, hint if space.free <= space.min_free else "")
    if space.max_size is not None:
        fact = f"{space.kept:,} of {counted(space.max_size, 'byte')} (max_size) are in use."
        yield Finding("limit", fact, hint if space.kept > space.max_size else "")


def check_agreement(store: Store) -> Iterator[Finding]:
    """Where journal, index and blobs do not say the same. Blocks for as long as reading all of them takes."""
    for one in disagreements(store):
        yield Finding(one.where, one.what, one.hint)


def _tree(store: Store) -> Finding:
    hidden = [line.record.url for line in store.index.every(Query(limit=1000)) if not _is_shown(store, line.record)]
    if not hidden:
        return Finding("tree", "tree/ has all archives.")
    hint = "Nothing is lost: the mirror serves them. Copy such archives by their URLs instead of from tree/."
    return Finding(
        "tree", f"tree/ lacks {counted(len(hidden), 'archive')}, whose names a file system cannot hold, such as {hidden[0]}.", hint
    )


def _is_shown(store: Store, record: Record) -> bool:
    return store.tree.shows(record.archive, store.blobs.path(record.sha256))


async def check_upstreams(configuration: Configuration) -> AsyncIterator[Finding]:
    """Whether every upstream answers anything at all, and whether its clock and ours agree."""
    if configuration.settings.offline:
        yield Finding("upstreams", "The mirror is offline: none is asked.")
        return
    upstream = Upstream(configuration)
    try:
        bases = dict.fromkeys(base for origin in configuration.origins for base in upstream.bases(origin))
        answers = await asyncio.gather(*(_knock(upstream, base) for base in bases))
    finally:
        await upstream.close()
    for base, answer in zip(bases, answers, strict=True):
        yield Finding("upstream", answer, _reach(base)) if isinstance(answer, str) else Finding("upstream", f"{base} answers.")
    yield _clock([answer for answer in answers if isinstance(answer, Reply)])


async def _knock(upstream: Upstream, base: str) -> Reply | str:
    """The answer, or why there is none."""
    try:
        return await upstream.knock(base)
    except Broken as error:
        return f"{error}."
    except NotAllowed as error:
        return str(error)


def _reach(base: str) -> str:
    return f"Try: curl -I {base}/ — behind a proxy set `upstream_proxy`, with a company's authority `ca_file`, in mirror.toml."


def _clock(replies: list[Reply]) -> Finding:
    """Compared with what upstreams say; the middle one counts."""
    differences = sorted(difference for reply in replies if (difference := _difference(reply)) is not None)
    if not differences:
        return Finding("clock", "No upstream told the time; the clock was not compared.")
    middle = differences[len(differences) // 2]
    if abs(middle) > _CLOCK_SECONDS:
        fact = f"This machine's clock is {counted(round(abs(middle)), 'second')} {'ahead' if middle > 0 else 'behind'}."
        return Finding("clock", fact, "Set it, and keep it right: timedatectl set-ntp true")
    return Finding("clock", f"The clock is right within {max(1.0, abs(middle)):.0f} s.")


def _difference(reply: Reply) -> float | None:
    try:
        return time.time() - parsedate_to_datetime(reply.field("date") or "").timestamp()
    except ValueError:
        return None


def not_there(error: DataFolderError) -> Finding:
    """A store that cannot be opened."""
    return Finding("store", error.detail, error.hint or "Look at the data folder.")
