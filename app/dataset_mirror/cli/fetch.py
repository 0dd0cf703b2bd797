"""`fetch`: archives into the mirror, ahead of time."""

import asyncio
import sys
from collections.abc import Callable

import click

from dataset_mirror.airgap.lists import meant, read_list
from dataset_mirror.cli import live
from dataset_mirror.cli.here import mirror_of
from dataset_mirror.cli.logs import configure
from dataset_mirror.cli.options import configured
from dataset_mirror.cli.steps import Step, view
from dataset_mirror.errors import MirrorError, UsageError
from dataset_mirror.origins.identity import ArchiveId
from dataset_mirror.settings import Configuration

_AT_ONCE = 10_000
"""Entries that the API takes in one request."""

Asked = dict[str, tuple[ArchiveId, ...]]
"""What was asked for, as it was written, and the archives that it means."""


@click.command(name="fetch")
@click.argument("wanted", nargs=-1, metavar="[NAME|URL|GLOB...]")
@click.option("--from", "files", multiple=True, metavar="FILE", help="A list with one NAME, URL or GLOB a line; - is standard input.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line: how far each archive is.")
@configured
def command(configuration: Configuration, wanted: tuple[str, ...], files: tuple[str, ...], as_json: bool) -> None:
    """Fetch archives into the mirror, ahead of time.

    NAME is one of the catalog (keras/mnist), GLOB several of them ('keras/*'), URL any archive of a listed origin. Beside a
    live server it asks that server. What is there is not fetched again, so a run that was cut off can be repeated.

    Ends with 1 if not all of them arrived; with --from the last lines tell which, as such a list.
    """
    configure("error")
    asked = _asked(configuration, wanted, files)
    archives = list(dict.fromkeys(archive for several in asked.values() for archive in several))
    url = live.found(configuration.settings)
    failed: dict[str, MirrorError] = {}
    shown = view(len(archives), as_json=as_json)

    def show(step: Step) -> None:
        shown.show(step)
        if step.error:
            failed[step.url] = step.error

    with shown:
        if url:
            _fetch_by_server(url, configuration, list(asked), show)
        else:
            asyncio.run(_fetch_here(configuration, archives, show))
    if failed and files and not as_json:
        _list(failed)
    sys.exit(1 if failed else 0)


def _asked(configuration: Configuration, wanted: tuple[str, ...], files: tuple[str, ...]) -> Asked:
    if not wanted and not files:
        raise UsageError("Nothing is named that could be fetched.", "Name archives (keras/mnist), or give a list: --from FILE")
    asked: Asked = {name: tuple(configuration.origins.select(name)) for name in wanted}
    for file in files:
        asked |= {line.entry: line.archives for line in meant(file, read_list(file), configuration.origins)}
    return asked


def _list(failed: dict[str, MirrorError]) -> None:
    click.echo("# Not fetched; the same command tries these again:")
    for url, error in failed.items():
        click.echo(f"{url}  # {error.detail}")


def _fetch_by_server(url: str, configuration: Configuration, wanted: list[str], show: Callable[[Step], None]) -> None:
    for first in range(0, len(wanted), _AT_ONCE):
        for known in live.lines(url, configuration.settings, "/api/fetch", {"archives": wanted[first : first + _AT_ONCE]}):
            over = known["state"] in ("present", "fetched", "failed")
            show(Step(known["url"], known["state"], known["received"], known.get("total"), live.error_of(known), over))


async def _fetch_here(configuration: Configuration, archives: list[ArchiveId], show: Callable[[Step], None]) -> None:
    async with mirror_of(configuration, new=True) as mirror:
        async for progress in mirror.fetch(archives):
            show(Step(progress.url, progress.state, progress.received, progress.total, progress.error, progress.over))
