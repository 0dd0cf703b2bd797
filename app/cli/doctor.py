"""`doctor`: mends what is broken."""

import sys

import click

from app.cli.logs import configure
from app.cli.options import configured
from app.errors import UsageError
from app.settings import Configuration


@click.command(name="doctor")
@click.option("--rebuild", is_flag=True, help="Make the index anew from archives.ndjson and the blobs; the old one is set aside.")
@configured
def command(configuration: Configuration, rebuild: bool) -> None:
    """Mend what is broken.

    --rebuild is for an index that is damaged or lost. No server may run meanwhile. Hits, last uses and the wanted list begin
    afresh; archives and their older versions come back. Ends with 1 if bytes of some are lost.
    """
    configure("error")
    if not rebuild:
        raise UsageError("Nothing is named that is to be mended.", "Give --rebuild.")
    from app.cli.doctor_rebuild import rebuild_index

    sys.exit(rebuild_index(configuration))
