"""`wanted`: what was asked for and could not be fetched."""

import json
import time
from collections.abc import Sequence
from pathlib import Path

import click

from dataset_mirror.airgap.proposals import Proposal
from dataset_mirror.airgap.wanted import CARRIED, Wish, as_list, select
from dataset_mirror.cli.port import Port, ported
from dataset_mirror.cli.sizes import moment
from dataset_mirror.errors import UsageError
from dataset_mirror.origins.typed import as_typed
from dataset_mirror.rules.counted import are, counted
from dataset_mirror.store import durable


@click.command(name="wanted")
@click.argument("meant", type=as_typed, nargs=-1, metavar="[NAME|URL|GLOB...]")
@click.option("--export", metavar="FILE", help="Write the list to FILE, for `fetch --from` elsewhere; - is standard output.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per line.")
@click.option("--clear", is_flag=True, help="Take what was listed or exported off the list.")
@ported
def command(port: Port, meant: tuple[str, ...], export: str | None, as_json: bool, clear: bool) -> None:
    """List the archives that clients requested while they could not be fetched.

    An archive leaves the list when it arrives, however it does. The list holds 10,000; beyond that the oldest requests are
    dropped. Why it is wanted: offline (or its origin was out of reach), refused or 404 (by its origin), unlisted (allow it with
    `add`), damaged. What is being fetched at the moment is not shown.

    NAME is a catalog name (keras/mnist); a GLOB ('keras/*', 'https://data.example.org/*') selects several. Default: all.

    \b
    Across an air gap:
      inside    dataset-mirror wanted --export wanted.txt
      outside   dataset-mirror fetch --from wanted.txt
    """
    if export is not None and as_json:
        raise UsageError("--export and --json cannot be combined.", "Give one of them.")
    listed = port.wanted()
    if meant:
        listed = select(listed, meant)
    if export is not None:
        _export(listed, export, port.proposals([wish.asked.archive for wish in listed if not wish.is_host]))
    elif as_json:
        _print_json(listed)
    else:
        _print(listed)
    if clear:
        number = port.unwant([wish.asked.archive for wish in listed])
        click.echo(f"Took {counted(number, 'archive')} off the list.", err=True)


def _export(listed: Sequence[Wish], file: str, proposed: Sequence[Proposal]) -> None:
    text = "".join(f"{line}\n" for line in as_list(listed, time.time(), proposed))
    if file == "-":
        click.echo(text, nl=False)
        return
    try:
        _write(Path(file).absolute(), text.encode())
    except OSError as error:
        raise UsageError(f"{file} cannot be written: {error.strerror}.", "Give another file, or - for standard output.") from None
    click.echo(f"Wrote {counted(len(listed), 'archive')} to {file}.", err=True)


def _write(file: Path, content: bytes) -> None:
    """In the place of a former one at once: the list may be cleared after this. A pipe or a terminal stays what it is."""
    if file.exists() and not file.is_file():
        file.write_bytes(content)
    else:
        durable.replace(file, content, 0o644)


def _print_json(listed: Sequence[Wish]) -> None:
    for wish in listed:
        asked = wish.asked
        known = {"url": wish.url, "name": wish.name, "count": asked.count, "first": asked.first, "last": asked.last, "kind": wish.kind}
        click.echo(json.dumps(known | {"asked_by": asked.asked_by}))


def _print(listed: Sequence[Wish]) -> None:
    if listed:
        click.echo(f"{'times':>7}  {'last':16}  {'why':8}  {'asked by':15}  archive")
    for wish in listed:
        name = f"  ({wish.name})" if wish.name else ""
        asked = wish.asked
        click.echo(f"{asked.count:>7,}  {moment(asked.last):16}  {wish.kind:8}  {asked.asked_by or 'unknown':15}  {wish.url}{name}")
    how = f" Carry the list out: dataset-mirror wanted --export {CARRIED}" if listed else ""
    click.echo(f"{counted(len(listed), 'archive')} {are(len(listed))} wanted.{how}", err=True)
