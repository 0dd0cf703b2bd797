"""`fetch`: archives into the mirror, ahead of time."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Iterator
from typing import Protocol

import click

from app.cli import live
from app.cli.logs import configure
from app.cli.options import configured
from app.errors import MirrorError
from app.mirror import Progress, running
from app.origins.identity import ArchiveId
from app.settings import Configuration
from app.store.store import open_store


@click.command(name="fetch")
@click.argument("wanted", nargs=-1, required=True, metavar="NAME|URL|GLOB...")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line: how far each archive is.")
@configured
def command(configuration: Configuration, wanted: tuple[str, ...], as_json: bool) -> None:
    """Fetch archives into the mirror, ahead of time.

    NAME is one of the catalog (keras/mnist), GLOB several of them ('keras/*'), URL any archive of a listed origin. Beside a
    live server it asks that server. Ends with 1 if not all of them arrived.
    """
    configure("error")
    archives = list(dict.fromkeys(archive for name in wanted for archive in configuration.origins.select(name)))
    view: _View = _Json() if as_json else (_Bars(len(archives)) if sys.stderr.isatty() else _Lines(len(archives)))
    url = live.found(configuration.settings)
    with view:
        if url:
            failed = _fetch_by_server(url, configuration, wanted, view)
        else:
            failed = asyncio.run(_fetch_here(configuration, archives, view))
    sys.exit(1 if failed else 0)


def _fetch_by_server(url: str, configuration: Configuration, wanted: tuple[str, ...], view: "_View") -> int:
    failed = 0
    asked = {"archives": list(wanted)}
    with live.server(url, configuration.settings) as client, client.stream("POST", "/api/fetch", json=asked) as response:
        live.check(response)
        for progress in _parsed(response.iter_lines()):
            view.show(progress)
            failed += progress.state == "failed"
    return failed


def _parsed(lines: Iterator[str]) -> Iterator[Progress]:
    for line in lines:
        known = json.loads(line)
        said = known.get("error")
        error = MirrorError(said["detail"], said["mend"]) if said else None
        yield Progress(known["url"], known["state"], known["received"], known.get("total"), error)


async def _fetch_here(configuration: Configuration, archives: list[ArchiveId], view: "_View") -> int:
    store = open_store(configuration.settings)
    try:
        store.lock()
        async with running(configuration, store) as mirror:
            return await _show_all(mirror.fetch(archives), view)
    finally:
        store.close()


async def _show_all(steps: AsyncIterator[Progress], view: "_View") -> int:
    failed = 0
    async for progress in steps:
        view.show(progress)
        failed += progress.state == "failed"
    return failed


class _View(Protocol):
    """Shows progress; a context manager."""

    def __enter__(self) -> object: ...
    def __exit__(self, *_: object) -> None: ...
    def show(self, progress: Progress) -> None: ...


class _Json:
    def __enter__(self) -> None: ...
    def __exit__(self, *_: object) -> None: ...

    def show(self, progress: Progress) -> None:
        known = {"url": progress.url, "state": progress.state, "received": progress.received, "total": progress.total}
        if progress.error:
            known |= {"detail": progress.error.detail, "mend": progress.error.mend}
        click.echo(json.dumps(known))


class _Lines:
    """For pipes and files: one line per archive that ended."""

    def __init__(self, total: int) -> None:
        self._total, self._ended, self._bytes, self._failed = total, 0, 0, 0

    def __enter__(self) -> None: ...

    def __exit__(self, *_: object) -> None:
        said = f"{self._ended - self._failed} of {self._total} archives are there ({self._bytes:,} bytes)"
        click.echo(f"{said}, {self._failed} failed." if self._failed else f"{said}.")

    def show(self, progress: Progress) -> None:
        if not progress.over:
            return
        self._ended += 1
        if progress.error:
            self._failed += 1
            self._say(f"failed   {progress.url}: {progress.error}", err=True)
        else:
            self._bytes += progress.received
            self._say(f"{progress.state:8} {progress.url} ({progress.received:,} bytes)")

    def _say(self, line: str, *, err: bool = False) -> None:
        click.echo(line, err=err)


class _Bars(_Lines):
    """For terminals: a bar per archive under way, and one in total."""

    def __init__(self, total: int) -> None:
        super().__init__(total)
        from rich.console import Console
        from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

        columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
        self._bars = Progress(*columns, console=Console(stderr=True))
        self._all = self._bars.add_task("total", total=None)
        self._tasks: dict[str, object] = {}
        self._sizes: dict[str, tuple[int, int]] = {}

    def __enter__(self) -> None:
        self._bars.start()

    def __exit__(self, *_: object) -> None:
        self._bars.stop()
        super().__exit__()

    def _say(self, line: str, *, err: bool = False) -> None:
        """Above the bars, which are drawn again below it."""
        self._bars.console.print(line, markup=False, highlight=False, soft_wrap=True)

    def show(self, progress: Progress) -> None:
        name = progress.url.rsplit("/", 1)[-1]
        task = self._tasks.get(progress.url) or self._bars.add_task(name, total=progress.total)
        self._tasks[progress.url] = task
        self._bars.update(task, completed=progress.received, total=progress.total)  # type: ignore[arg-type]
        self._sizes[progress.url] = (progress.received, progress.total or progress.received)
        received, total = (sum(sizes) for sizes in zip(*self._sizes.values(), strict=True))
        self._bars.update(self._all, completed=received, total=total, description=f"total ({len(self._sizes)} of {self._total})")
        if progress.over:
            self._bars.remove_task(task)  # type: ignore[arg-type]
            super().show(progress)
