"""`rm`: removes stored archives."""

import json

import click

from dataset_mirror.cli.logs import configure
from dataset_mirror.cli.port import Port, ported
from dataset_mirror.cli.sizes import human
from dataset_mirror.errors import UsageError
from dataset_mirror.origins.typed import as_typed
from dataset_mirror.rules.counted import counted
from dataset_mirror.status.contents import ArchiveSummary
from dataset_mirror.store.listing import Query

_SHOWN = 20


@click.command(name="rm")
@click.argument("wanted", type=as_typed, nargs=-1, required=True, metavar="NAME|URL|GLOB...")
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@click.option("--json", "as_json", is_flag=True, help="With --yes: print one JSON object per removed archive.")
@ported
def command(port: Port, wanted: tuple[str, ...], yes: bool, as_json: bool) -> None:
    """Remove stored archives, with their older versions.

    NAME is a catalog name (keras/mnist), URL one archive, GLOB several of either ('https://data.example.org/*'). Downloads of
    them that are running are completed. Of several mirrors that share a store all forget them, and so does the bucket.
    """
    configure("error")
    if as_json and not yes:
        raise UsageError("--json asks nobody.", "Give --yes, too.")
    archives = list(port.stored(wanted, Query()))
    if not as_json:
        _show(archives)
    if not yes:
        click.confirm("Remove?", abort=True)
    freed = port.remove([one.url for one in archives])
    if as_json:
        for one in archives:
            click.echo(json.dumps({"url": one.url, "size": one.size}))
        return
    click.echo(f"Removed {counted(len(archives), 'archive')}; {human(freed)} are free again.")


def _show(archives: list[ArchiveSummary]) -> None:
    for one in archives[:_SHOWN]:
        click.echo(f"{human(one.size):>10}  {one.url}{' (only in the bucket)' if one.where == 'bucket' else ''}")
    if len(archives) > _SHOWN:
        click.echo(f"{'':>10}  and {len(archives) - _SHOWN:,} more ({human(sum(one.size for one in archives))} in all)")
