"""`status`: the mirror in one look."""

import asyncio
import json
import sys
import time
from collections.abc import Iterator
from typing import Any, NoReturn

import click

from dataset_mirror.cli import live
from dataset_mirror.cli.here import store_of
from dataset_mirror.cli.options import configured
from dataset_mirror.cli.sizes import human, lasting
from dataset_mirror.mirror import Mirror
from dataset_mirror.settings import Configuration
from dataset_mirror.status.views import status_of

_FAILURES = 3


@click.command(name="status")
@click.option("--watch", is_flag=True, help="Show it again every second, until Ctrl-C.")
@click.option("--json", "as_json", is_flag=True, help="Print what GET /status says.")
@configured
def command(configuration: Configuration, watch: bool, as_json: bool) -> None:
    """Show the mirror in one look: what is stored, what is being fetched, what failed and why."""
    if not watch:
        known, url = _status(configuration)
        click.echo(json.dumps(known, indent=2) if as_json else "\n".join(_text(known, url)))
        return
    try:
        _watch(configuration)
    except KeyboardInterrupt:
        sys.exit(0)


def _status(configuration: Configuration) -> tuple[dict[str, Any], str | None]:
    """What GET /status says, and the URL of the server that said it; without one it is looked up here."""
    url = live.found(configuration.settings)
    if url:
        return live.ask(url, configuration.settings, "/status"), url
    with store_of(configuration) as store:
        known = asyncio.run(status_of(Mirror(configuration, store)))
    return known.model_dump(mode="json"), None


def _watch(configuration: Configuration) -> None:
    if not sys.stdout.isatty():
        _repeat(configuration)
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

    with Live(console=Console(), auto_refresh=False) as shown:
        while True:
            known, url = _status(configuration)
            shown.update(Text("\n".join(_text(known, url))), refresh=True)
            time.sleep(1)


def _repeat(configuration: Configuration) -> NoReturn:
    """For pipes and files: one look after the other."""
    while True:
        known, url = _status(configuration)
        click.echo("\n".join(_text(known, url)) + "\n")
        sys.stdout.flush()
        time.sleep(1)


def _text(known: dict[str, Any], url: str | None) -> Iterator[str]:
    where = f"{url}, {'offline' if known['offline'] else 'online'} for {lasting(known['uptime'])}" if url else "No server is running."
    yield f"{where}"
    yield from _kept(known)
    if url:
        traffic = f"Served {human(known['bytes_served'])}, fetched {human(known['bytes_fetched'])}"
        yield f"{traffic}: {known['hits']:,} hits, {known['misses']:,} misses."
    yield from _fills(known)
    yield from _trouble(known)


def _kept(known: dict[str, Any]) -> Iterator[str]:
    store, number = known["store"], known["archives"]
    limit = f" of {human(store['max_size'])} (max_size)" if store["max_size"] is not None else ""
    yield f"{number:,} {'archive' if number == 1 else 'archives'}, {human(store['blob_bytes'])}{limit} in {store['path']}"
    yield f"The disk ({store['file_system']}) has {human(store['free'])} free; {human(store['min_free'])} stay free (min_free)."
    if known["wanted"]:
        yield f"Asked for and not to be had: {known['wanted']:,} (dataset-mirror wanted)"


def _fills(known: dict[str, Any]) -> Iterator[str]:
    if known["fills"]:
        yield "Being fetched:"
    for fill in known["fills"]:
        total = f" of {human(fill['total'])}" if fill["total"] is not None else ""
        left = f", {lasting(fill['eta'])} left" if fill["eta"] is not None else ""
        pace = "waits for a free place" if fill["waiting"] else f"{human(fill['rate'])}/s{left}"
        readers = f"{fill['readers']} {'reader' if fill['readers'] == 1 else 'readers'}"
        yield f"  {human(fill['received'])}{total}, {pace}, {readers}  {fill['url']}"


def _trouble(known: dict[str, Any]) -> Iterator[str]:
    for upstream in known["upstreams"]:
        if upstream["resting"]:
            yield f"Left alone for a while: {upstream['place']} ({upstream['last_error']})"
    if known["failures"]:
        yield "Last failures:"
    for failure in known["failures"][:_FAILURES]:
        yield f"  {failure['at']}  {failure['status']}  {failure['detail']} {failure['hint']}"
