"""`gc`: removes what nobody needs any more."""

import sys

import click

from dataset_mirror.cli.logs import configure
from dataset_mirror.cli.port import Port, ported
from dataset_mirror.cli.sizes import human
from dataset_mirror.status.orders import Collection


@click.command(name="gc")
@click.option("--dry-run", "-n", is_flag=True, help="Only show what would be removed.")
@click.option("--last-copies", is_flag=True, help="To meet the limits, remove even archives that no origin confirms it still has.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object: what was or would be removed, and what is still missing.")
@ported
def command(port: Port, dry_run: bool, last_copies: bool, as_json: bool) -> None:
    """Remove what nobody needs: older versions, blobs without an archive, leftovers, damaged blobs in quarantine.

    If max_size or min_free is still exceeded, archives go too: those not used for longest first, whole datasets together, and
    each only if its origin confirms at that moment that it still has the same bytes. Exits with status 1 if a limit is still
    exceeded.
    """
    configure("error")
    found = port.collect(dry_run=dry_run, last_copies=last_copies)
    if as_json:
        click.echo(found.model_dump_json(indent=2))
        left = found.missing - sum(one.size for one in found.garbage) * dry_run
        sys.exit(1 if left > 0 else 0)
    sys.exit(_tell(found, dry_run=dry_run))


def _tell(found: Collection, *, dry_run: bool) -> int:
    for one in found.garbage:
        click.echo(f"{human(one.size):>10}  {one.kind:14}  {one.what}")
    total, missing = sum(one.size for one in found.garbage), found.missing
    if dry_run:
        click.echo(f"Would free {human(total)}. Nothing was removed." if found.garbage else "There is nothing to remove.")
        missing = max(0, missing - total)
    else:
        click.echo(f"Freed {human(found.freed)}." if found.garbage else "There was nothing to remove.")
    if missing:
        click.echo(
            f"{human(missing)} more must be removed to meet max_size and min_free. Remove archives (dataset-mirror rm), change a limit, or "
            "also remove archives that no origin confirms: dataset-mirror gc --last-copies",
            err=True,
        )
    return 1 if missing else 0
