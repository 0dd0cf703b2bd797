"""`verify`: re-hashes what is stored."""

import asyncio
import sys

import click

from dataset_mirror.cli import live
from dataset_mirror.cli.here import mirror_of
from dataset_mirror.cli.logs import configure
from dataset_mirror.cli.options import configured
from dataset_mirror.cli.steps import Step, View, view
from dataset_mirror.settings import Configuration
from dataset_mirror.upkeep.verify import verify

_OVER = ("good", "damaged", "lost", "fetched", "failed")


@click.command(name="verify")
@click.argument("wanted", nargs=-1, metavar="[NAME|URL|GLOB...]")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line: how far each archive is.")
@configured
def command(configuration: Configuration, wanted: tuple[str, ...], as_json: bool) -> None:
    """Read stored archives again, and compare their digests; all of them, if none is named.

    A damaged one goes into quarantine/ of the data folder, is never served again, and is fetched anew where that is possible.
    Ends with 1 if not all are good then.
    """
    configure("error")
    shown = view(None, as_json=as_json, received="are good")
    url = live.found(configuration.settings)
    with shown:
        if url:
            _verify_by_server(url, configuration, wanted, shown)
        else:
            asyncio.run(_verify_here(configuration, wanted, shown))
    sys.exit(1 if shown.failed else 0)


def _verify_by_server(url: str, configuration: Configuration, wanted: tuple[str, ...], shown: View) -> None:
    for known in live.lines(url, configuration.settings, "/api/verify", {"archives": list(wanted)}):
        state = known["state"]
        shown.show(Step(known["url"], state, known["checked"], known["total"], live.error_of(known), state in _OVER))


async def _verify_here(configuration: Configuration, wanted: tuple[str, ...], shown: View) -> None:
    async with mirror_of(configuration) as mirror:
        async for one in verify(mirror, wanted):
            shown.show(Step(one.url, one.state, one.checked, one.total, one.error, one.state in _OVER))
