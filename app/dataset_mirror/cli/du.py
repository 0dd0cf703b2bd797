"""`du`: what takes the room."""

import json
import time
from collections import Counter
from collections.abc import Iterable

import click

from dataset_mirror.cli.columns import table
from dataset_mirror.cli.port import Port, ported
from dataset_mirror.cli.sizes import human
from dataset_mirror.status.models import ArchiveSummary
from dataset_mirror.store.listing import Query

_AGES = ((86_400, "today"), (7 * 86_400, "this week"), (30 * 86_400, "this month"), (365 * 86_400, "this year"))
_HEADINGS = {"origin": "origin", "dataset": "dataset", "age": "last used", "client": "client"}


@click.command(name="du")
@click.argument("wanted", nargs=-1, metavar="[NAME|URL|GLOB...]")
@click.option(
    "--by",
    type=click.Choice(["origin", "dataset", "age", "client"]),
    default="origin",
    show_default=True,
    help="What to add up by; client: bytes sent to each since the mirror started.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per line.")
@ported
def command(port: Port, wanted: tuple[str, ...], by: str, as_json: bool) -> None:
    """Show what uses the space: bytes by origin, by dataset (catalog name), by when it was last used, or by client.

    Equal bytes are counted once; they belong to the first archive by name.
    """
    rows = _clients(port) if by == "client" else _sums(port.stored(wanted, Query(limit=1000)), by)
    if as_json:
        for name, number, size in rows:
            click.echo(json.dumps({by: name, "requests" if by == "client" else "archives": number, "size": size}))
        return
    counted = "requests" if by == "client" else "archives"
    table(("size", counted, _HEADINGS[by]), [(human(size), f"{number:,}", name) for name, number, size in rows], right=(0, 1))
    click.echo(f"{human(sum(size for _, _, size in rows))} in all", err=True)


def _clients(port: Port) -> list[tuple[str, int, int]]:
    return [(one.address or "unknown", one.requests, one.size) for one in port.clients()]


def _sums(archives: Iterable[ArchiveSummary], by: str) -> list[tuple[str, int, int]]:
    numbers, sizes, seen, now = Counter[str](), Counter[str](), set[str](), time.time()
    for one in archives:
        name = _name(one, by, now)
        numbers[name] += 1
        sizes[name] += 0 if one.sha256 in seen else one.size
        seen.add(one.sha256)
    if by == "age":
        order = [*(name for _, name in _AGES), "earlier"]
        return [(name, numbers[name], sizes[name]) for name in order if name in numbers]
    return [(name, number, sizes[name]) for name, number in sorted(numbers.items(), key=lambda each: (-sizes[each[0]], each[0]))]


def _name(one: ArchiveSummary, by: str, now: float) -> str:
    if by == "dataset":
        return one.name or f"(no name) {one.origin}"
    if by == "age":
        return next((name for seconds, name in _AGES if now - one.used < seconds), "earlier")
    return one.origin
