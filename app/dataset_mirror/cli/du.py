"""`du`: what takes the room."""

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import get_args

import click

from dataset_mirror.cli.columns import table
from dataset_mirror.cli.port import Port, ported
from dataset_mirror.cli.sizes import human
from dataset_mirror.origins.table import dataset_name
from dataset_mirror.origins.typed import as_typed
from dataset_mirror.status.contents import ArchiveSummary
from dataset_mirror.status.figures import By
from dataset_mirror.store.listing import Query
from dataset_mirror.store.sums import age_of, in_order

_HEADINGS = {"origin": "origin", "dataset": "dataset", "age": "last used", "client": "client"}


@click.command(name="du")
@click.argument("wanted", type=as_typed, nargs=-1, metavar="[NAME|URL|GLOB...]")
@click.option(
    "--by",
    type=click.Choice(get_args(By)),
    default="origin",
    show_default=True,
    help="What to add up by; client: bytes sent to each since the mirror started.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per line.")
@ported
def command(port: Port, wanted: tuple[str, ...], by: By, as_json: bool) -> None:
    """Show what uses the space: bytes by origin, by dataset (catalog name), by when it was last used, or by client.

    Equal bytes are counted once; they belong to the first archive by name.
    """
    rows = _rows(port, wanted, by)
    if as_json:
        for name, number, size in rows:
            click.echo(json.dumps({by: name, "requests" if by == "client" else "archives": number, "size": size}))
        return
    counted = "requests" if by == "client" else "archives"
    table(("size", counted, _HEADINGS[by]), [(human(size), f"{number:,}", name) for name, number, size in rows], right=(0, 1))
    click.echo(f"{human(sum(size for _, _, size in rows))} in all", err=True)


def _rows(port: Port, wanted: Sequence[str], by: By) -> list[tuple[str, int, int]]:
    if by == "client":
        return [(one.address or "unknown", one.requests, one.size) for one in port.clients()]
    if wanted:
        return _sums(port.stored(wanted, Query(limit=1000)), by)
    return [(row.name, row.archives, row.size) for row in port.usage(by).rows]


def _sums(archives: Iterable[ArchiveSummary], by: By) -> list[tuple[str, int, int]]:
    numbers, sizes, seen = Counter[str](), Counter[str](), set[str]()
    for one in archives:
        name = age_of(one.used) if by == "age" else dataset_name(one.name, one.origin) if by == "dataset" else one.origin
        numbers[name] += 1
        sizes[name] += 0 if one.sha256 in seen else one.size
        seen.add(one.sha256)
    if by == "age":
        return [(name, numbers[name], sizes[name]) for name in in_order(numbers)]
    return [(name, number, sizes[name]) for name, number in sorted(numbers.items(), key=lambda each: (-sizes[each[0]], each[0]))]
