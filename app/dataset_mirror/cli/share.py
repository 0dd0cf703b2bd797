"""`share`: moves what a lone mirror has into the store that several share."""

import asyncio
import json
import sys
import time
from collections.abc import Callable

import click

from dataset_mirror.cli import live
from dataset_mirror.cli.here import mirror_of, store_of
from dataset_mirror.cli.logs import configure
from dataset_mirror.cli.options import local_only
from dataset_mirror.errors import DataFolderError, UsageError
from dataset_mirror.rules.counted import are, counted
from dataset_mirror.settings import Configuration, sharing

_LOOK_SECONDS = 0.5
_SAY_SECONDS = 5.0
Shared = Callable[[], dict[str, object] | None]


@click.command(name="share")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object: how many archives were uploaded.")
@local_only
def command(configuration: Configuration, *, as_json: bool) -> None:
    """Put everything that this mirror stores into the shared store: into the bucket, and into what the other mirrors know.

    Set `shared` and `bucket` first. Interrupted, it can be repeated: what is there is not uploaded again. If a server is running,
    it does the work, and serves meanwhile; it must have been started with these settings.
    """
    configure("error")
    if sharing(configuration.settings) is None:
        raise UsageError("`shared` and `bucket` are not set.", "docker/mirror.toml explains them.")
    with store_of(configuration) as store:
        total = max(store.telling.tell_all(), store.index.number_in_outbox())
    click.echo(f"{counted(total, 'archive')} {are(total)} to be uploaded." if total else "Everything is there already.", err=as_json)
    if total:
        url = live.found(configuration.settings)
        asyncio.run(_uploaded(configuration) if url is None else _watched(configuration, url))
        click.echo("All mirrors have them now.", err=as_json)
    if as_json:
        click.echo(json.dumps({"archives": total}))


async def _uploaded(configuration: Configuration) -> None:
    async with mirror_of(configuration) as mirror:
        shared = mirror.shared
        assert shared is not None
        said = time.monotonic()
        while left := await mirror.store.in_worker(mirror.store.index.number_in_outbox):
            if not shared.life.is_joined:
                raise DataFolderError(f"The shared database is away: {shared.life.why}.", "Repeat the command when it is back.")
            said = _say(left, said)
            await asyncio.sleep(_LOOK_SECONDS)


async def _watched(configuration: Configuration, url: str) -> None:
    said = time.monotonic()
    with live.server(url, None) as client:
        while True:
            response = client.get("/status")
            live.check(response)
            shared = response.json()["shared"]
            if shared is None:
                raise UsageError(f"The mirror at {url} was started without `shared`.", "Restart it; then it uploads them.")
            if not shared["joined"]:
                raise DataFolderError(f"The shared database is away: {shared['why']}.", f"The mirror at {url} goes on when it is back.")
            if not shared["outbox"]:
                return
            said = _say(shared["outbox"], said)
            await asyncio.sleep(_LOOK_SECONDS)


def _say(left: int, said: float) -> float:
    if time.monotonic() - said < _SAY_SECONDS:
        return said
    click.echo(f"{left:,} are left.", err=True)
    sys.stderr.flush()
    return time.monotonic()
