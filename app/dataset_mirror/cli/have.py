"""`have`: the digests of all that is here, for the other side of an air gap."""

import json
from itertools import islice

import click

from dataset_mirror.cli.port import Port, ported

_AT_ONCE = 10_000


@click.command(name="have")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per line.")
@ported
def command(port: Port, as_json: bool) -> None:
    """Print the SHA-256 of everything stored, one per line, sorted.

    Take the list to the other side of an air gap, to leave out of a bundle what is already here:
    dataset-mirror have > have.txt, and there: dataset-mirror export new.tar --all --minus have.txt
    """
    digests = port.digests()
    if as_json:
        for digest in digests:
            click.echo(json.dumps({"sha256": digest}))
        return
    some = list(islice(digests, _AT_ONCE))
    click.echo("# SHA-256 of the archives that are here; for: dataset-mirror export FILE.tar --all --minus have.txt")
    while some:
        click.echo("\n".join(some))
        some = list(islice(digests, _AT_ONCE))
