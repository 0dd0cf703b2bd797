"""`verify`: re-hashes what is stored."""

import sys

import click

from dataset_mirror.cli.logs import configure
from dataset_mirror.cli.port import Port, ported
from dataset_mirror.cli.steps import view


@click.command(name="verify")
@click.argument("wanted", nargs=-1, metavar="[NAME|URL|GLOB...]")
@click.option("--json", "as_json", is_flag=True, help="Print progress as one JSON object per line.")
@ported
def command(port: Port, wanted: tuple[str, ...], as_json: bool) -> None:
    """Read stored archives again and check their digests; all of them, if none is named.

    A damaged one is moved to quarantine/ in the data folder, is never served again, and is fetched again where that is possible.
    Exits with status 1 if any is still not good in the end.
    """
    configure("error")
    shown = view(None, as_json=as_json, received="are good")
    with shown:
        for step in port.verify(wanted):
            shown.show(step)
    sys.exit(1 if shown.failed else 0)
