"""`rm`: removes stored archives."""

import asyncio
from collections.abc import Iterable

import click

from dataset_mirror.cli import live
from dataset_mirror.cli.here import mirror_of, store_of
from dataset_mirror.cli.logs import configure
from dataset_mirror.cli.options import configured
from dataset_mirror.cli.sizes import human
from dataset_mirror.settings import Configuration
from dataset_mirror.store.listing import Listed
from dataset_mirror.upkeep.stored import remove, select_stored

_SHOWN = 20


@click.command(name="rm")
@click.argument("wanted", nargs=-1, required=True, metavar="NAME|URL|GLOB...")
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@configured
def command(configuration: Configuration, wanted: tuple[str, ...], yes: bool) -> None:
    """Remove stored archives, with their older versions.

    NAME is one of the catalog (keras/mnist), URL one archive, GLOB several of either ('https://data.example.org/*'). Whoever
    is downloading one gets it to its end.
    """
    configure("error")
    with store_of(configuration) as store:
        lines = select_stored(store.index, configuration.origins, wanted)
    _show(lines)
    if not yes:
        click.confirm("Remove?", abort=True)
    urls = [line.record.url for line in lines]
    url = live.found(configuration.settings)
    if url:
        freed = live.ask(url, configuration.settings, "/api/rm", {"archives": urls})["freed"]
    else:
        freed = asyncio.run(_remove_here(configuration, urls))
    click.echo(f"Removed {len(lines):,} {'archive' if len(lines) == 1 else 'archives'}; {human(freed)} are free again.")


def _show(lines: list[Listed]) -> None:
    for line in lines[:_SHOWN]:
        click.echo(f"{human(line.record.size):>10}  {line.record.url}")
    if len(lines) > _SHOWN:
        click.echo(f"{'':>10}  and {len(lines) - _SHOWN:,} more ({human(sum(line.record.size for line in lines))} in all)")


async def _remove_here(configuration: Configuration, urls: Iterable[str]) -> int:
    async with mirror_of(configuration) as mirror:
        return sum(one.freed for one in await remove(mirror, urls))
