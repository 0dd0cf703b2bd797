"""`clients`: who uses the mirror."""

import click

from dataset_mirror.cli.columns import table
from dataset_mirror.cli.port import Port, ported
from dataset_mirror.cli.sizes import human, moment
from dataset_mirror.rules.counted import counted


@click.command(name="clients")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per line.")
@ported
def command(port: Port, as_json: bool) -> None:
    """List who asked the running mirror for archives since it started: the latest thousand addresses, most bytes first."""
    known = port.clients()
    if as_json:
        for one in known:
            click.echo(one.model_dump_json())
        return
    rows = [
        (one.address or "unknown", f"{one.requests:,}", f"{one.hits:,}", f"{one.misses:,}", human(one.size), moment(one.last))
        for one in known
    ]
    if rows:
        table(("client", "requests", "hits", "misses", "sent", "last request"), rows, right=(1, 2, 3, 4))
    click.echo(counted(len(known), "client"), err=True)
