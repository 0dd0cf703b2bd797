"""`gc`: removes what nobody needs any more."""

import asyncio
import sys

import click

from dataset_mirror.cli import live
from dataset_mirror.cli.here import mirror_of
from dataset_mirror.cli.logs import configure
from dataset_mirror.cli.options import configured
from dataset_mirror.cli.sizes import human
from dataset_mirror.settings import Configuration
from dataset_mirror.upkeep.garbage import collect, find_garbage

Found = tuple[list[tuple[str, str, int]], int, int]
"""What goes, as (kind, what, bytes), the bytes that were freed, and the bytes that are still over a limit."""


@click.command(name="gc")
@click.option("--dry-run", "-n", is_flag=True, help="Only tell what would go.")
@click.option("--last-copies", is_flag=True, help="For the limits, remove even archives that no origin confirms to have.")
@configured
def command(configuration: Configuration, dry_run: bool, last_copies: bool) -> None:
    """Remove what nobody needs: older versions, blobs without an archive, leftovers, damaged blobs in quarantine.

    If max_size or min_free is still exceeded then, archives that were used longest ago go, too, whole datasets together; each
    only if its origin confirms at this moment that it has the same bytes. Ends with 1 if a limit is still exceeded.
    """
    configure("error")
    url = live.found(configuration.settings)
    if url:
        answer = live.ask(url, configuration.settings, "/api/gc", {"dry_run": dry_run, "last_copies": last_copies})
        items = [(item["kind"], item["what"], item["size"]) for item in answer["garbage"]]
        found: Found = (items, answer["freed"], answer["missing"])
    else:
        found = asyncio.run(_collect_here(configuration, dry_run=dry_run, last_copies=last_copies))
    sys.exit(_tell(found, dry_run=dry_run))


async def _collect_here(configuration: Configuration, *, dry_run: bool, last_copies: bool) -> Found:
    async with mirror_of(configuration, repair=False) as mirror:
        garbage = await find_garbage(mirror, last_copies=last_copies)
        freed = 0 if dry_run else await collect(mirror, garbage)
        return [(one.kind, one.what, one.size) for one in garbage], freed, mirror.store.space.missing(0)


def _tell(found: Found, *, dry_run: bool) -> int:
    items, freed, missing = found
    for kind, what, size in items:
        click.echo(f"{human(size):>10}  {kind:14}  {what}")
    total = sum(size for _, _, size in items)
    if dry_run:
        click.echo(f"Would free {human(total)}. Nothing was removed." if items else "There is nothing to remove.")
        missing = max(0, missing - total)
    else:
        click.echo(f"Freed {human(freed)}." if items else "There was nothing to remove.")
    if missing:
        click.echo(
            f"{human(missing)} more must go for max_size and min_free. Remove archives (dataset-mirror rm), change a limit, or let "
            "go what no origin confirms to have: dataset-mirror gc --last-copies",
            err=True,
        )
    return 1 if missing else 0
