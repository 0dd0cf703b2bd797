"""`adopt`: files that people have already, into the mirror."""

import sys
from pathlib import Path

import click

from dataset_mirror.airgap.files.adopt import Adopted, Adoption
from dataset_mirror.airgap.files.found import printable
from dataset_mirror.airgap.files.recognising import Recogniser
from dataset_mirror.cli.here import store_of
from dataset_mirror.cli.logs import configure
from dataset_mirror.cli.options import local_only
from dataset_mirror.cli.steps import Step, paced, view
from dataset_mirror.settings import Configuration


@click.command(name="adopt")
@click.argument("paths", nargs=-1, required=True, metavar="PATH...", type=click.Path(path_type=Path, exists=True))
@click.option("--json", "as_json", is_flag=True, help="Print progress as one JSON object per line.")
@local_only
def command(configuration: Configuration, paths: tuple[Path, ...], as_json: bool) -> None:
    """Take files that you already have into the mirror: ~/.keras, a folder in HOST/PATH form, or one archive of any name.

    A file is an archive if the catalog knows its digest. Where no digest is known, its place tells (HOST/PATH of a listed
    origin, or where Keras keeps it), and `ls` shows it as adopted. Files are copied, sharing blocks where the disk can, and stay
    as they are. Works beside a running server, which serves them at once.

    Exits with status 1 if a file that you named, or that looks like an archive of the catalog, was refused, or if nothing was an
    archive.
    """
    configure("error")
    shown = view(None, as_json=as_json, received="in the mirror")
    believed = taken = 0
    with store_of(configuration, new=True) as store, shown:
        for step in paced(_step(one) for one in Adoption(store, Recogniser(configuration.origins)).adopt(paths)):
            believed += step.state == "believed"
            taken += step.state in ("adopted", "believed", "present")
            shown.show(step)
    if believed:
        click.echo("Taken on trust: no known digest proves them, only their location says what they are (ls --state adopted).", err=True)
    sys.exit(1 if shown.failed or not taken else 0)


def _step(one: Adopted) -> Step:
    path = printable(one.path)
    state = "believed" if one.state == "adopted" and not one.proven else one.state
    return Step(path, state, one.done, one.size, one.error, one.over, archive=one.url)
