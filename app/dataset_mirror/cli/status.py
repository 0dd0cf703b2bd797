"""`status`: the mirror in one look."""

import json
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any, NoReturn

import click

from dataset_mirror.cli.options import configured, mirror_option, mirror_url
from dataset_mirror.cli.port import opened
from dataset_mirror.cli.sizes import human, lasting
from dataset_mirror.settings import Configuration

Look = Callable[[], tuple[dict[str, Any], str | None]]
"""What GET /status says, and the URL of the mirror that said it; None if none is running."""

_FAILURES = 3


@click.command(name="status")
@mirror_option()
@click.option("--watch", is_flag=True, help="Show it again every second, until Ctrl-C.")
@click.option("--json", "as_json", is_flag=True, help="Print what GET /status says.")
@configured
def command(configuration: Configuration, mirror: str | None, watch: bool, as_json: bool) -> None:
    """Show the mirror in one look: what is stored, what is being fetched, what failed and why."""
    url = mirror_url(mirror) if mirror else None

    def look() -> tuple[dict[str, Any], str | None]:
        with opened(configuration, url) as port:  # each time: the server of the data folder may come and go
            return port.status(), port.url

    if not watch:
        known, url = look()
        click.echo(json.dumps(known, indent=2) if as_json else "\n".join(_text(known, url)))
        return
    try:
        _watch(look)
    except KeyboardInterrupt:
        sys.exit(0)


def _watch(look: Look) -> None:
    if not sys.stdout.isatty():
        _repeat(look)
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

    with Live(console=Console(), auto_refresh=False) as shown:
        while True:
            known, url = look()
            shown.update(Text("\n".join(_text(known, url))), refresh=True)
            time.sleep(1)


def _repeat(look: Look) -> NoReturn:
    """For pipes and files: one look after the other."""
    while True:
        known, url = look()
        click.echo("\n".join(_text(known, url)) + "\n")
        sys.stdout.flush()
        time.sleep(1)


def _text(known: dict[str, Any], url: str | None) -> Iterator[str]:
    where = f"{url}, {'offline' if known['offline'] else 'online'} for {lasting(known['uptime'])}" if url else "No server is running."
    yield f"{where}"
    yield from _troubles(known)
    yield from _kept(known)
    if url:
        traffic = f"Served {human(known['bytes_served'])}, fetched {human(known['bytes_fetched'])}"
        yield f"{traffic}: {known['hits']:,} hits, {known['misses']:,} misses."
    yield from _fills(known)
    yield from _trouble(known)


def _troubles(known: dict[str, Any]) -> Iterator[str]:
    for check in known["health"]["checks"]:
        if not check["ok"]:
            yield f"PROBLEM ({check['name']}): {check['detail']} {check['hint']}"


def _kept(known: dict[str, Any]) -> Iterator[str]:
    store, number = known["store"], known["archives"]
    limit = f" of {human(store['max_size'])} (max_size)" if store["max_size"] is not None else ""
    yield f"{number:,} {'archive' if number == 1 else 'archives'}, {human(store['blob_bytes'])}{limit} in {store['path']}"
    yield f"The disk ({store['file_system']}) has {human(store['free'])} free; {human(store['min_free'])} stay free (min_free)."
    if known["wanted"]:
        yield f"Requested but unavailable: {known['wanted']:,} (dataset-mirror wanted)"


def _fills(known: dict[str, Any]) -> Iterator[str]:
    if known["fills"]:
        yield "Being fetched:"
    for fill in known["fills"]:
        total = f" of {human(fill['total'])}" if fill["total"] is not None else ""
        left = f", {lasting(fill['eta'])} left" if fill["eta"] is not None else ""
        pace = "waits for a free place" if fill["waiting"] else f"{human(fill['rate'])}/s{left}{', slow' if fill.get('slow') else ''}"
        readers = f"{fill['readers']} {'reader' if fill['readers'] == 1 else 'readers'}"
        yield f"  {human(fill['received'])}{total}, {pace}, {readers}  {fill['url']}"


def _trouble(known: dict[str, Any]) -> Iterator[str]:
    for upstream in known["upstreams"]:
        if upstream["resting"]:
            yield f"On hold: {upstream['place']} ({upstream['last_error']})"
    if known["failures"]:
        yield "Recent failures:"
    for failure in known["failures"][:_FAILURES]:
        yield f"  {failure['at']}  {failure['status']}  {failure['detail']} {failure['hint']}"
