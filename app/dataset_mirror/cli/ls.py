"""`ls`: what is stored."""

import json
from collections.abc import Iterable

import click

from dataset_mirror.cli.here import store_of
from dataset_mirror.cli.options import configured
from dataset_mirror.cli.sizes import human, moment
from dataset_mirror.origins.table import Origins
from dataset_mirror.settings import Configuration
from dataset_mirror.store.listing import Listed, Query
from dataset_mirror.store.store import Store
from dataset_mirror.upkeep.stored import select_stored

_KEYS = {
    "name": lambda line: str(line.record.archive),
    "used": lambda line: line.used,
    "size": lambda line: line.record.size,
    "fetched": lambda line: line.record.fetched,
}


@click.command(name="ls")
@click.argument("wanted", nargs=-1, metavar="[NAME|URL|GLOB...]")
@click.option("--origin", metavar="HOST", help="Only archives of this host.")
@click.option("--state", type=click.Choice(["verified", "computed", "adopted", "changed"]), help="Only archives in this state.")
@click.option("--sort", type=click.Choice(list(_KEYS)), default="name", show_default=True, help="Order of the list.")
@click.option("--reverse", is_flag=True, help="The largest, latest or last name first.")
@click.option("--long", "-l", "as_long", is_flag=True, help="Also digest, hits, and when it was fetched.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line.")
@configured
def command(
    configuration: Configuration,
    wanted: tuple[str, ...],
    origin: str | None,
    state: str | None,
    sort: str,
    reverse: bool,
    as_long: bool,
    as_json: bool,
) -> None:
    """List what is stored: size, state, last use, and URL.

    States: verified (the catalog's digest), computed (as the origin sent it), adopted (as somebody brought it), changed (older
    bytes are kept, too). NAME is one of the catalog (keras/mnist); a GLOB ('keras/*', 'https://data.example.org/*') means several.
    """
    query = Query(sort, reverse, origin, state, limit=1000)  # type: ignore[arg-type]
    with store_of(configuration) as store:
        number = size = 0
        for line in _lines(store, configuration.origins, wanted, query):
            number, size = number + 1, size + line.record.size
            click.echo(_json(line, configuration.origins) if as_json else _row(line, as_long=as_long))
    if not as_json:
        click.echo(f"{number:,} {'archive' if number == 1 else 'archives'}, {human(size)}", err=True)


def _lines(store: Store, origins: Origins, wanted: tuple[str, ...], query: Query) -> Iterable[Listed]:
    if not wanted:
        return store.index.every(query)
    found = select_stored(store.index, origins, wanted)
    fitting = [line for line in found if query.origin in (None, line.record.archive.authority) and query.state in (None, line.state)]
    return sorted(fitting, key=_KEYS[query.order], reverse=query.descending)


def _row(line: Listed, *, as_long: bool) -> str:
    record = line.record
    row = f"{human(record.size):>10}  {line.state:8}  used {moment(line.used)}  "
    if as_long:
        row += f"{line.hits:>6} hits  fetched {moment(record.fetched)}  sha256 {record.sha256}  "
    return row + record.url


def _json(line: Listed, origins: Origins) -> str:
    record, entry = line.record, origins.expected(line.record.archive)
    known = {
        "url": record.url,
        "name": entry.name if entry else "",
        "size": record.size,
        "sha256": record.sha256,
        "state": line.state,
        "fetched": record.fetched,
        "used": line.used,
        "hits": line.hits,
    }
    return json.dumps(known)
