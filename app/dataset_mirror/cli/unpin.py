"""`unpin`: archives that may be evicted again."""

import json

import click

from dataset_mirror.cli.logs import configure
from dataset_mirror.cli.port import Port, ported
from dataset_mirror.origins.typed import as_typed


@click.command(name="unpin")
@click.argument("names", type=as_typed, nargs=-1, required=True, metavar="NAME|URL|GLOB...")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per pin that was removed.")
@ported
def command(port: Port, names: tuple[str, ...], as_json: bool) -> None:
    """Remove pins; the archives stay until room is needed. A GLOB removes all pins that match it ('*' removes every one)."""
    configure("error")
    for name in port.unpin(names):
        click.echo(json.dumps({"name": name}) if as_json else f"Unpinned {name}.")
