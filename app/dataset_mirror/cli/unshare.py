"""`unshare`: brings what several mirrors share into this one, which can go on alone then."""

import asyncio
import sys

import click

from dataset_mirror.cli import live
from dataset_mirror.cli.here import store_of
from dataset_mirror.cli.logs import configure
from dataset_mirror.cli.options import local_only
from dataset_mirror.cli.port import opened
from dataset_mirror.cli.steps import view
from dataset_mirror.errors import DataFolderError, UsageError
from dataset_mirror.origins.identity import parse_url
from dataset_mirror.origins.sharing import Bucket
from dataset_mirror.settings import Configuration, sharing


@click.command(name="unshare")
@click.option("--json", "as_json", is_flag=True, help="Print progress as one JSON object per line.")
@local_only
def command(configuration: Configuration, as_json: bool) -> None:
    """Bring everything that all mirrors share into this one's own folder, so that it can go on alone.

    Nothing is removed from the others. Interrupted, it can be repeated. Afterwards take `shared` and `bucket` out of mirror.toml.
    """
    configure("error")
    places = sharing(configuration.settings)
    if places is None:
        raise UsageError("`shared` and `bucket` are not set: this mirror is alone.", "There is nothing to do.")
    archives = [parse_url(url) for url in asyncio.run(_every(places))]
    shown = view(len(archives), as_json=as_json)
    with opened(configuration, None) as port, shown:
        for step in port.fetch(archives) if archives else ():
            shown.show(step)
    if shown.failed:
        sys.exit(1)
    if live.found(configuration.settings) is None:
        with store_of(configuration) as store:
            store.telling.stop()
    if not as_json:
        click.echo("This mirror has everything. Take `shared` and `bucket` out of mirror.toml, and restart it.")


async def _every(places: tuple[str, Bucket]) -> list[str]:
    from dataset_mirror.store.shared.audit import every_url
    from dataset_mirror.store.shared.database import Unavailable

    try:
        return [url async for url in every_url(places)]
    except Unavailable as error:
        raise DataFolderError(f"The shared database cannot be used: {error}.", "Repeat the command when it is back.") from None
