"""`pin`: archives that stay."""

from collections.abc import Sequence

import click

from dataset_mirror.cli.columns import table
from dataset_mirror.cli.logs import configure
from dataset_mirror.cli.names import names_of_catalog
from dataset_mirror.cli.port import Port, ported
from dataset_mirror.cli.sizes import human
from dataset_mirror.origins.meaning import Meaning
from dataset_mirror.origins.typed import as_typed
from dataset_mirror.rules.counted import counted, share
from dataset_mirror.status.models import PinStatus


@click.command(name="pin")
@click.argument("names", type=as_typed, nargs=-1, metavar="[NAME|URL|GLOB...]", shell_complete=names_of_catalog)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per pin.")
@ported
def command(port: Port, names: tuple[str, ...], as_json: bool) -> None:
    """Pin archives: they are never evicted. Without a name, list what is pinned.

    A running mirror fetches what is pinned and missing, checks with the origins that it is current, and fetches what is damaged
    again. NAME is a catalog name (keras/mnist), URL one archive, GLOB several of either, now and later ('keras/*'). The name of
    a file, or a glob of such ('*.zip'), pins each file of that name that is stored or in the catalog now.
    """
    configure("error")
    new = set(port.pin(names)) if names else set()
    shown = [one for one in port.pins() if not names or any(_is_meant(one.name, Meaning(name)) for name in names)]
    if as_json:
        for one in shown:
            click.echo(one.model_dump_json())
    elif names:
        for one in shown:
            click.echo(f"{'Pinned' if one.name in new else 'Already pinned:'} {one.name}: {_there(one)}.")
    else:
        _list(shown)


def _is_meant(pin: str, meaning: Meaning) -> bool:
    return meaning.shown in (pin, pin.partition("://")[2]) or ("://" in pin and meaning.fits_file(pin))


def _list(pins: Sequence[PinStatus]) -> None:
    if pins:
        table(("pinned", "present", "size"), [(one.name, f"{one.present} of {one.archives}", human(one.size)) for one in pins], right=(2,))
    click.echo(counted(len(pins), "pin"), err=True)


def _there(one: PinStatus) -> str:
    damaged = f", {one.damaged} damaged" if one.damaged else ""
    return f"{share(one.present, one.archives, 'archive')} there ({human(one.size)}){damaged}"
