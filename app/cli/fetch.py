"""`fetch`: archives into the mirror, ahead of time."""

import asyncio
import sys

import click

from app.cli import live
from app.cli.here import mirror_of
from app.cli.logs import configure
from app.cli.options import configured
from app.cli.steps import Step, View, view
from app.origins.identity import ArchiveId
from app.settings import Configuration


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
    url = live.found(configuration.settings)
    shown = view(len(archives), as_json=as_json)
    with shown:
        if url:
            _fetch_by_server(url, configuration, wanted, shown)
        else:
            asyncio.run(_fetch_here(configuration, archives, shown))
    sys.exit(1 if shown.failed else 0)


def _fetch_by_server(url: str, configuration: Configuration, wanted: tuple[str, ...], shown: View) -> None:
    for known in live.lines(url, configuration.settings, "/api/fetch", {"archives": list(wanted)}):
        over = known["state"] in ("present", "fetched", "failed")
        shown.show(Step(known["url"], known["state"], known["received"], known.get("total"), live.error_of(known), over))


async def _fetch_here(configuration: Configuration, archives: list[ArchiveId], shown: View) -> None:
    async with mirror_of(configuration, new=True) as mirror:
        async for progress in mirror.fetch(archives):
            shown.show(Step(progress.url, progress.state, progress.received, progress.total, progress.error, progress.over))
