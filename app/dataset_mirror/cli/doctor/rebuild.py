"""`doctor --rebuild`: the index anew, from what is on the disk."""

import sys

import click

from dataset_mirror.settings import Configuration
from dataset_mirror.store.rebuild import Rebuilt, rebuild

_SHOWN = 20


def rebuild_index(configuration: Configuration) -> int:
    """Makes the index anew and tells what came of it; returns the exit code: 1 if a line was unreadable, or anything is lost."""
    with click.progressbar(length=1, label="Reading archives.ndjson", file=sys.stderr, hidden=not sys.stderr.isatty()) as bar:

        def report(done: int, total: int) -> None:
            bar.length = total
            bar.update(done - bar.pos)

        found = rebuild(configuration.settings, report)
    _tell(found)
    return 1 if found.lost or found.torn or found.unexplained else 0


def _tell(found: Rebuilt) -> None:
    torn = f"; {found.torn:,} of them could not be read" if found.torn else ""
    click.echo(f"Made the index anew: {found.archives:,} archives from {found.lines:,} lines{torn}.")
    if found.aside:
        click.echo(f"The index of before is {found.aside}; remove it when all is well.")
    for one in found.lost[:_SHOWN]:
        click.echo(f"lost     {one}: its bytes are not there, or not all of them", err=True)
    if len(found.lost) > _SHOWN:
        click.echo(f"lost     {len(found.lost) - _SHOWN:,} more", err=True)
    for record in found.recovered[:_SHOWN]:
        click.echo(f"named    {record.url} by tree/: the journal has lost its line")
    for sha256 in found.unexplained:
        click.echo(f"unknown  {sha256}: nothing says what it is; it is in quarantine/unexplained/ now, and stays there", err=True)
    click.echo("Whether the bytes of the others are right: dataset-mirror verify")
