"""`have`: the digests of all that is here, for the other side of an air gap."""

import sys
from itertools import islice

import click

from dataset_mirror.cli.here import store_of
from dataset_mirror.cli.options import configured
from dataset_mirror.settings import Configuration

_AT_ONCE = 10_000


@click.command(name="have")
@configured
def command(configuration: Configuration) -> None:
    """Print the SHA-256 of everything stored, one a line, sorted.

    Carried to the other side of an air gap, it keeps out of a bundle what is here already:
    dataset-mirror have > have.txt, and there: dataset-mirror export new.tar --all --minus have.txt
    """
    with store_of(configuration) as store:
        digests = store.index.digests()
        sys.stdout.write("# SHA-256 of the archives that are here; for: dataset-mirror export FILE.tar --all --minus have.txt\n")
        while some := list(islice(digests, _AT_ONCE)):
            sys.stdout.write("\n".join(some) + "\n")
