"""`verify`: re-hashes what is stored."""

import sys
from collections.abc import AsyncGenerator, Iterator

import click

from dataset_mirror.cli.logs import configure
from dataset_mirror.cli.options import configured, mirror_option, mirror_url
from dataset_mirror.cli.port import opened
from dataset_mirror.cli.steps import Step, view
from dataset_mirror.errors import DataFolderError, FillFailed, UsageError
from dataset_mirror.origins.typed import as_typed
from dataset_mirror.settings import Configuration, sharing


@click.command(name="verify")
@click.argument("wanted", type=as_typed, nargs=-1, metavar="[NAME|URL|GLOB...]")
@click.option("--bucket", is_flag=True, help="Of several mirrors: read every object of the bucket instead.")
@click.option("--json", "as_json", is_flag=True, help="Print progress as one JSON object per line.")
@mirror_option()
@configured
def command(configuration: Configuration, mirror: str | None, wanted: tuple[str, ...], bucket: bool, as_json: bool) -> None:
    """Read stored archives again and check their digests; all of them, if none is named.

    A damaged one is moved to quarantine/ in the data folder, is never served again, and is fetched again where that is possible.
    A damaged object of the bucket is not used any more; a mirror that has its bytes uploads them again.
    Exits with status 1 if any is still not good in the end.
    """
    configure("error")
    shown = view(None, as_json=as_json, received="good")
    if bucket:
        if wanted or mirror:
            raise UsageError("--bucket reads all objects, with the keys of this machine's settings.", "Leave out names and --mirror.")
        with shown:
            for step in _objects(configuration):
                shown.show(step)
    else:
        with opened(configuration, mirror_url(mirror) if mirror else None) as port, shown:
            for step in port.verify(wanted):
                shown.show(step)
    sys.exit(1 if shown.failed else 0)


def _objects(configuration: Configuration) -> Iterator[Step]:
    """Every object of the bucket, as it was found."""
    places = sharing(configuration.settings)
    if places is None:
        raise UsageError("`shared` and `bucket` are not set: this mirror is alone.", "Verify what it stores: dataset-mirror verify")
    from dataset_mirror.cli.local import stepwise
    from dataset_mirror.store.shared.audit import read_bucket
    from dataset_mirror.store.shared.bucket import BucketFails
    from dataset_mirror.store.shared.database import Unavailable

    async def steps() -> AsyncGenerator[Step]:
        async for read in read_bucket(places):
            error = None if read.state == "good" else FillFailed(f"The object {read.name} is {read.why or read.state}.", _ANEW)
            yield Step(read.url, read.state, read.size, read.size, error, over=True)

    try:
        yield from stepwise(steps)
    except (Unavailable, BucketFails) as error:
        raise DataFolderError(f"The shared store cannot be read: {error}.", "Check `shared` and `bucket`; try again.") from None


_ANEW = "A mirror that has these bytes uploads them again; otherwise they come from the origin."
