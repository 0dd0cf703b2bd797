"""The files below a path, as `adopt` looks at them: links do not lead out of it, and what is no file is said."""

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Found:
    """A file; or something else, and `why_not`."""

    path: Path
    is_named: bool
    """Somebody gave this very path, and did not merely mean the folder that it is in."""
    why_not: str = ""
    hint: str = ""


def printable(path: Path) -> str:
    """A path as it may be written to a terminal, which some characters of file names would command."""
    return "".join(each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in os.fsencode(path).decode(errors="replace"))


def found(path: Path, but: Path) -> Iterator[Found]:
    """The file `path`, or what is below the folder `path`, sorted by name; the folder `but` is left out."""
    root = path.absolute()
    if root.is_dir():
        yield from _below(root, Path(os.path.realpath(root)), but.stat() if but.exists() else None)
    else:
        yield _judged(root, is_named=True)


def _below(top: Path, root: Path, but: os.stat_result | None) -> Iterator[Found]:
    waiting = [top]
    while waiting:  # not recursive: folders may be nested deeper than a program may
        path = waiting.pop()
        try:
            status = path.stat() if path == top else path.lstat()
        except OSError as error:
            yield _unreadable(path, error, is_named=False)
            continue
        if stat.S_ISLNK(status.st_mode):
            yield from _link(path, root)
        elif not stat.S_ISDIR(status.st_mode):
            yield _judged(path, is_named=False)
        elif but and os.path.samestat(status, but):
            yield Found(path, is_named=False, why_not="it is the mirror's own data.")
        else:
            try:
                waiting += sorted(path.iterdir(), reverse=True)
            except OSError as error:
                yield Found(path, is_named=True, why_not=f"It cannot be listed: {error.strerror}.", hint="Check its permissions.")


def _link(link: Path, root: Path) -> Iterator[Found]:
    """A link inside of the root to a file there is as good as the file; a folder there is found by itself."""
    target = Path(os.path.realpath(link))
    if not target.is_relative_to(root):
        yield Found(
            link,
            is_named=False,
            why_not=f"it is a link to a path outside, {printable(target)}.",
            hint="Give that path itself.",
        )
    elif not target.is_dir():
        yield _judged(link, is_named=False)


def _judged(path: Path, *, is_named: bool) -> Found:
    try:
        mode = path.stat().st_mode
    except OSError as error:
        return _unreadable(path, error, is_named=is_named)
    return Found(path, is_named, "" if stat.S_ISREG(mode) else "it is no file.")


def _unreadable(path: Path, error: OSError, *, is_named: bool) -> Found:
    return Found(path, is_named, f"It cannot be read: {error.strerror}.", "Check where it points, and its permissions.")
