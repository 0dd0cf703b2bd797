"""How far a long command is: bars on a terminal, one line per archive elsewhere, or JSON."""

import json
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import click

from dataset_mirror.cli.total import Total
from dataset_mirror.errors import MirrorError
from dataset_mirror.rules.counted import counted, share

if TYPE_CHECKING:
    from rich.progress import TaskID


@dataclass(frozen=True, slots=True)
class Step:
    """How far one archive is; `done` and `total` in bytes. `over`: nothing more comes of it."""

    url: str
    state: str
    done: int = 0
    total: int | None = None
    error: MirrorError | None = None
    over: bool = False
    archive: str = ""
    """The archive's URL, if `url` is the path of a file: of that it shows only later which archive it is."""


_SUM_SECONDS = 0.1
"""Between two sums of all archives, of which there may be thousands."""
_SMALL = 1 << 20
"""Bytes below which an archive has no bar of its own: a repository may have thousands of them."""
PASSED_OVER = ("unknown", "skipped")
"""States of what is no archive: said with the reason, which is its error, and not counted."""


def paced(steps: Iterable[Step], every: float = 0.2) -> Iterator[Step]:
    """The last words, and of the others one every so many seconds: whoever copies files would say something for each megabyte."""
    said = 0.0
    for step in steps:
        if step.over or time.monotonic() - said >= every:
            said = time.monotonic()
            yield step


class View(Protocol):
    """Shows steps; a context manager."""

    @property
    def failed(self) -> int:
        """Archives that ended badly."""

    def __enter__(self) -> object: ...
    def __exit__(self, kind: object, error: object, trace: object, /) -> None: ...
    def show(self, step: Step) -> None: ...


def view(
    total: int | None,
    *,
    as_json: bool,
    received: str = "there",
    err: bool = False,
    size: int | None = None,
    sizes: Mapping[str, int | None] | None = None,
) -> View:
    """The view that fits where the output goes; `total` archives of `size` bytes are to come, as far as that is known.

    `sizes` are those of archives that will come, as far as they are known, by URL without its scheme.

    `received` is what those are that came through. `err`: nothing goes to standard output.
    """
    if as_json:
        return _Json(err=err)
    return (
        _Bars(total, received, err=err, total_size=Total(total, sizes or {}, size))
        if sys.stderr.isatty()
        else _Lines(total, received, err=err)
    )


class _Json:
    def __init__(self, *, err: bool) -> None:
        self.failed, self._err = 0, err

    def __enter__(self) -> None: ...
    def __exit__(self, *_: object) -> None: ...

    def show(self, step: Step) -> None:
        self.failed += step.error is not None and step.state not in PASSED_OVER
        known = {"url": step.archive or step.url, "state": step.state, "received": step.done, "total": step.total}
        if step.archive:
            known["file"] = step.url
        if step.error:
            known |= {"detail": step.error.detail, "hint": step.error.hint}
        click.echo(json.dumps(known), err=self._err)


class _Lines:
    """For pipes and files: one line per archive that ended, or that something is wrong with."""

    def __init__(self, total: int | None, received: str, *, err: bool = False) -> None:
        self._total, self._received, self._err = total, received, err
        self._good: dict[str, int] = {}
        self._bad: set[str] = set()

    @property
    def failed(self) -> int:
        return len(self._bad)

    def __enter__(self) -> None: ...

    def __exit__(self, kind: object, *_: object) -> None:
        if kind:
            return  # the error says what there is to say
        good = {url: size for url, size in self._good.items() if url not in self._bad}
        total = self._total if self._total is not None else len(self._good.keys() | self._bad)
        said = f"{share(len(good), total, 'archive')} {self._received} ({counted(sum(good.values()), 'byte')})"
        click.echo(f"{said}, {self.failed} failed." if self.failed else f"{said}.", err=self._err)

    def show(self, step: Step) -> None:
        if not step.over:
            return
        what = f"{step.url} as {step.archive}" if step.archive else step.url
        if step.state in PASSED_OVER:
            self._say(f"{step.state:8} {what}: {step.error}")
        elif step.error:
            self._bad.add(step.url)
            self._say(f"failed   {what}: {step.error}", err=True)
        else:
            if step.state not in ("damaged", "lost"):
                self._good[step.archive or step.url] = step.done
            self._say(f"{step.state:8} {what} ({counted(step.done, 'byte')})")

    def _say(self, line: str, *, err: bool = False) -> None:
        click.echo(line, err=err or self._err)


class _Bars(_Lines):
    """For terminals: a bar per archive under way, and one in total."""

    def __init__(self, total: int | None, received: str, *, err: bool = False, total_size: Total) -> None:
        super().__init__(total, received, err=err)
        from rich.console import Console
        from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            DownloadColumn(),
            TransferSpeedColumn(),
            TextColumn("{task.fields[left]}"),
        )
        self._bars = Progress(*columns, console=Console(stderr=True))
        self._sum = total_size
        self._all = self._bars.add_task("total", total=total_size.size, left="")
        self._tasks: dict[str, TaskID] = {}
        self._summed = 0.0

    def __enter__(self) -> None:
        self._bars.start()

    def __exit__(self, kind: object, *_: object) -> None:
        self._show_sum()
        self._bars.stop()
        super().__exit__(kind)

    def _say(self, line: str, *, err: bool = False) -> None:
        """Above the bars, which are drawn again below it."""
        self._bars.console.print(line, markup=False, highlight=False, soft_wrap=True)

    def show(self, step: Step) -> None:
        if step.state == "waiting":  # it is announced: only the sum knows it
            return self._sum.expect(step.url, step.total)
        self._sum.take(step.url, step.done, step.total, over=step.over, failed=step.error is not None, there=step.state == "present")
        if step.over:
            if (task := self._tasks.pop(step.url, None)) is not None:
                self._bars.remove_task(task)
            super().show(step)
        else:
            self._show_one(step)
        if time.monotonic() - self._summed >= _SUM_SECONDS:
            self._show_sum()

    def _show_one(self, step: Step) -> None:
        """A bar of its own, unless it is so small that it would only flicker."""
        size = step.total if step.total is not None else self._sum.size_of(step.url)
        if size is not None and size < _SMALL:
            return
        if step.url not in self._tasks:
            name = step.url.partition("?")[0] if "://" in step.url else step.url
            self._tasks[step.url] = self._bars.add_task(name.rpartition("/")[2], total=size, left="")
        self._bars.update(self._tasks[step.url], completed=step.done, total=size)

    def _show_sum(self) -> None:
        self._summed = time.monotonic()
        description = f"total ({self._sum.number} of {self._sum.expected})"
        self._bars.update(self._all, completed=self._sum.done, total=self._sum.size, description=description, left=self._sum.left())
