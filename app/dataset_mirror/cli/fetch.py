"""`fetch`: archives into the mirror, ahead of time."""

import sys

import click

from dataset_mirror.airgap.lists import meant, read_list
from dataset_mirror.cli import INTERRUPTED
from dataset_mirror.cli.logs import configure
from dataset_mirror.cli.names import names_of_catalog
from dataset_mirror.cli.port import Port, ported
from dataset_mirror.cli.steps import view
from dataset_mirror.errors import MirrorError, UsageError
from dataset_mirror.origins.identity import ArchiveId


@click.command(name="fetch")
@click.argument("wanted", nargs=-1, metavar="[NAME|URL|GLOB...]", shell_complete=names_of_catalog)
@click.option("--from", "files", multiple=True, metavar="FILE", help="A list with one NAME, URL or GLOB per line; - is standard input.")
@click.option("--json", "as_json", is_flag=True, help="Print progress as one JSON object per line.")
@ported
def command(port: Port, wanted: tuple[str, ...], files: tuple[str, ...], as_json: bool) -> None:
    """Fetch archives into the mirror, ahead of time.

    NAME is a catalog name (keras/mnist), GLOB several of them ('keras/*'), URL any archive of a listed origin. If a server is
    running, it does the work. What is already stored is not fetched again, so an interrupted run can simply be repeated.

    Exits with status 1 if any archive did not arrive; with --from, the last lines list those, as input for another run.
    """
    configure("error")
    archives = _archives(port, wanted, files)
    failed: dict[str, MirrorError] = {}
    sizes = {archive: port.size_of(archive) for archive in archives}
    shown = view(len(archives), as_json=as_json, sizes={f"//{archive}": size for archive, size in sizes.items()})
    there: set[str] = set()
    try:
        with shown:
            for step in port.fetch(archives):
                if step.error:
                    failed[step.url] = step.error
                elif step.over:
                    there.add(step.url)
                shown.show(step)
    except KeyboardInterrupt:
        click.echo(f"\n{_interrupted(port, len(there), len(archives))}", err=True)
        sys.exit(INTERRUPTED)
    if failed and files and not as_json:
        _list(failed)
    sys.exit(1 if failed else 0)


def _archives(port: Port, wanted: tuple[str, ...], files: tuple[str, ...]) -> list[ArchiveId]:
    if not wanted and not files:
        raise UsageError("Nothing to fetch was named.", "Name archives (keras/mnist), or give a list: --from FILE")
    named = [archive for name in wanted for archive in port.select(name)]
    named += [archive for file in files for line in meant(file, read_list(file), port) for archive in line.archives]
    return list(dict.fromkeys(named))


def _interrupted(port: Port, there: int, total: int) -> str:
    """What is kept of an interrupted run, and what becomes of the rest."""
    if port.url:
        rest = f"The mirror at {port.url} completes what it has begun."
    else:
        rest = "Of large archives what has arrived is kept, and the next run goes on with it."
    return f"Interrupted. {there} of {total} archives are there, and stay. {rest} Run the same command again for the others."


def _list(failed: dict[str, MirrorError]) -> None:
    click.echo("# Not fetched; run the same command to try these again:")
    for url, error in failed.items():
        click.echo(f"{url}  # {error.detail}")
