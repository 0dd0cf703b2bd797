"""`ls`: what is stored."""

import json

import click

from dataset_mirror.cli.columns import shortened, width
from dataset_mirror.cli.port import Port, ported
from dataset_mirror.cli.sizes import human, moment
from dataset_mirror.origins.typed import as_typed
from dataset_mirror.rules.counted import counted
from dataset_mirror.status.contents import ArchiveSummary
from dataset_mirror.store.listing import Query

_ORDERS = ["name", "used", "size", "fetched"]
_LEAST = 20
"""Columns of a URL that are always shown."""


@click.command(name="ls")
@click.argument("wanted", type=as_typed, nargs=-1, metavar="[NAME|URL|GLOB...]")
@click.option("--origin", metavar="HOST", help="Only archives of this host.")
@click.option("--state", type=click.Choice(["verified", "computed", "adopted", "changed", "damaged"]), help="Only archives in this state.")
@click.option(
    "--sort", type=click.Choice(["name", "used", "size", "fetched"]), default="name", show_default=True, help="Order of the list."
)
@click.option("--reverse", is_flag=True, help="Reverse the order: largest, latest or last name first.")
@click.option("--long", "-l", "as_long", is_flag=True, help="Also show the digest and its source, hits, and when it was fetched.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per line.")
@ported
def command(
    port: Port,
    wanted: tuple[str, ...],
    origin: str | None,
    state: str | None,
    sort: str,
    reverse: bool,
    as_long: bool,
    as_json: bool,
) -> None:
    """List what is stored: size, state, last use, and URL.

    States: verified (the catalog, the origin itself or the URL has its digest), computed (as the origin sent it), adopted (added by
    hand, no digest proves it), changed (older bytes are kept, too), damaged (not served until it comes again). With --long the digest's
    source stands behind it. If several mirrors share a store, what is only in their bucket is listed last, as `in the bucket`.

    NAME is a catalog name (keras/mnist); a GLOB ('keras/*', 'https://data.example.org/*') selects several.
    """
    most = width()
    if most is not None and not as_json:
        click.echo(_header(as_long=as_long))
    query = Query(sort, reverse, origin, state, limit=1000)  # type: ignore[arg-type]
    number = size = elsewhere = 0
    for one in port.stored(wanted, query):
        number, size, elsewhere = number + 1, size + one.size, elsewhere + (one.where == "bucket")
        click.echo(_json(one) if as_json else _row(one, as_long=as_long, most=most))
    if not as_json:
        only = f"; {elsewhere:,} of them only in the bucket" if elsewhere else ""
        click.echo(f"{counted(number, 'archive')}, {human(size)}{only}", err=True)


def _header(*, as_long: bool) -> str:
    """For whoever sees a terminal; programs get one line per archive, and nothing else."""
    return f"{'size':>10}  {'state':8}  {'last used':21}  {'hits, fetched, digest and its source, ' if as_long else ''}archive"


def _row(one: ArchiveSummary, *, as_long: bool, most: int | None) -> str:
    used = f"used {moment(one.used)}" if one.where == "here" else f"{'in the bucket':21}"
    row = f"{human(one.size):>10}  {one.state:8}  {used}  "
    if not as_long and most is not None:
        return row + shortened(one.url, max(_LEAST, most - len(row)))
    if as_long:
        row += f"{counted(one.hits, 'hit'):>11}  fetched {moment(one.fetched)}  sha256 {one.sha256} ({one.source})  "
    return row + one.url


def _json(one: ArchiveSummary) -> str:
    keys = ("url", "name", "size", "sha256", "state", "source", "fetched", "used", "hits", "where")
    return json.dumps({key: getattr(one, key) for key in keys})
