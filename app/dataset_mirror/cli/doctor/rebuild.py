"""`doctor --rebuild`: the index is rebuilt from what is on the disk."""

import sys

import click

from dataset_mirror.rules.counted import counted
from dataset_mirror.settings import Configuration
from dataset_mirror.store.rebuild import Rebuilt, rebuild

_SHOWN = 20


def rebuild_index(configuration: Configuration) -> int:
    """Rebuilds the index and reports the outcome; returns the exit code: 1 if a line was unreadable, or anything is lost."""
    with click.progressbar(length=1, label="Reading archives.ndjson", file=sys.stderr, hidden=not sys.stderr.isatty()) as bar:

        def report(done: int, total: int) -> None:
            bar.length = total
            bar.update(done - bar.pos)

        found = rebuild(configuration.settings, report)
    _tell(found)
    return 1 if found.lost or found.torn or found.unexplained else 0


def _tell(found: Rebuilt) -> None:
    torn = f"; {found.torn:,} of them could not be read" if found.torn else ""
    click.echo(f"Rebuilt the index: {counted(found.archives, 'archive')} from {counted(found.lines, 'line')}{torn}.")
    if found.aside:
        click.echo(f"The old index was moved to {found.aside}; delete it once everything works.")
    for one in found.lost[:_SHOWN]:
        click.echo(f"lost     {one}: its bytes are missing or incomplete", err=True)
    if len(found.lost) > _SHOWN:
        click.echo(f"lost     {len(found.lost) - _SHOWN:,} more", err=True)
    for record in found.recovered[:_SHOWN]:
        click.echo(f"named    {record.url} by tree/: the journal has lost its line")
    for sha256 in found.unexplained:
        click.echo(f"unknown  {sha256}: no record explains it; moved to quarantine/unexplained/, where it stays", err=True)
    click.echo("To check the bytes of the others: dataset-mirror verify")
