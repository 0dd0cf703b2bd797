"""`status`: the mirror in one look."""

import json
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, NoReturn, Protocol

import click

from dataset_mirror.cli.columns import painted
from dataset_mirror.cli.live import ServerSaysNo
from dataset_mirror.cli.options import configured, mirror_option, mirror_url
from dataset_mirror.cli.port import Port, opened
from dataset_mirror.cli.sizes import human, lasting, local, local_time
from dataset_mirror.rules.counted import counted
from dataset_mirror.settings import Configuration
from dataset_mirror.status.models import ClientStatus


@dataclass(frozen=True)
class Seen:
    """What GET /status says, the URL of the mirror that said it, its clients, and when (seconds of a clock that never turns back)."""

    known: dict[str, Any]
    url: str | None
    """None if no mirror is running."""
    clients: list[ClientStatus]
    at: float


class Look(Protocol):
    """Looks at a mirror; `busy`: at its clients, too."""

    def __call__(self, *, busy: bool) -> Seen: ...


_CLIENTS = 5

_FAILURES = 3


@click.command(name="status")
@mirror_option()
@click.option("--watch", is_flag=True, help="Show it again every second, until Ctrl-C.")
@click.option("--json", "as_json", is_flag=True, help="Print what GET /status says.")
@configured
def command(configuration: Configuration, mirror: str | None, watch: bool, as_json: bool) -> None:
    """Show the mirror in one look: what is stored, what is being fetched, what failed and why.

    With --watch as `top` does: also bytes per second, and the busiest clients.
    """
    look = looking(configuration, mirror)
    if watch and not as_json:
        watched(look)
    else:
        shown_once(look, as_json=as_json, busy=False)


def looking(configuration: Configuration, mirror: str | None) -> Look:
    """A look at the mirror that was named, else at that of the data folder."""
    url = mirror_url(mirror) if mirror else None

    def look(*, busy: bool) -> Seen:
        with opened(configuration, url) as port:  # each time: the server of the data folder may come and go
            return Seen(port.status(), port.url, _clients(port) if busy and port.url else [], time.monotonic())

    return look


def _clients(port: Port) -> list[ClientStatus]:
    """Those of a mirror that says so: who may not change it is not told who uses it."""
    try:
        return port.clients()
    except ServerSaysNo:
        return []


def shown_once(look: Look, *, as_json: bool, busy: bool) -> None:
    """One look, for people or for programs."""
    seen = look(busy=busy)
    if not as_json:
        click.echo("\n".join([*_text(seen.known, seen.url), *busy_of(seen, None)] if busy else _text(seen.known, seen.url)))
        return
    more = {"clients": [one.model_dump(mode="json") for one in seen.clients]} if busy else {}
    click.echo(json.dumps(seen.known | more, indent=2))


def watched(look: Look) -> NoReturn:
    """One look a second, until Ctrl-C."""
    with suppress(KeyboardInterrupt):
        _watch(look)
    sys.exit(0)


def _watch(look: Look) -> None:
    if not sys.stdout.isatty():
        _repeat(look)
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

    with Live(console=Console(), auto_refresh=False) as shown:
        before = None
        while True:
            seen = look(busy=True)
            shown.update(Text("\n".join([*_text(seen.known, seen.url), *busy_of(seen, before)])), refresh=True)
            before = seen
            time.sleep(1)


def _repeat(look: Look) -> NoReturn:
    """For pipes and files: one look after the other."""
    before = None
    while True:
        seen = look(busy=True)
        click.echo("\n".join([*_text(seen.known, seen.url), *busy_of(seen, before)]) + "\n")
        sys.stdout.flush()
        before = seen
        time.sleep(1)


def _text(known: dict[str, Any], url: str | None) -> Iterator[str]:
    where = f"{url}, {'offline' if known['offline'] else 'online'} for {lasting(known['uptime'])}" if url else "No server is running."
    yield f"{where}"
    yield from _troubles(known)
    yield from _kept(known)
    if url:
        traffic = f"Served {human(known['bytes_served'])}, fetched {human(known['bytes_fetched'])}"
        yield f"{traffic}: {counted(known['hits'], 'hit')}, {counted(known['misses'], 'miss')}."
    yield from _ahead(known)
    yield from _fills(known)
    yield from _trouble(known)


def _troubles(known: dict[str, Any]) -> Iterator[str]:
    for check in known["health"]["checks"]:
        if not check["ok"]:
            yield painted(f"PROBLEM ({check['name']}): {check['detail']} {check['hint']}", "red")


def _kept(known: dict[str, Any]) -> Iterator[str]:
    store, number = known["store"], known["archives"]
    limit = f" of {human(store['max_size'])} (max_size)" if store["max_size"] is not None else ""
    yield f"{counted(number, 'archive')}, {human(store['blob_bytes'])}{limit} in {store['path']}"
    yield f"The disk ({store['file_system']}) has {human(store['free'])} free; {human(store['min_free'])} stay free (min_free)."
    if known["wanted"]:
        yield f"Requested but unavailable: {known['wanted']:,} (dataset-mirror wanted)"


def busy_of(seen: Seen, before: Seen | None) -> Iterator[str]:
    """What changes while one looks: bytes per second since the look before, and the clients that were sent most."""
    if seen.url is None:
        return
    if before is not None and before.url == seen.url:
        seconds = max(seen.at - before.at, 1e-3)
        served, fetched = (max(0, seen.known[name] - before.known[name]) / seconds for name in ("bytes_served", "bytes_fetched"))
        asked = sum(seen.known[name] - before.known[name] for name in ("hits", "misses")) / seconds
        yield f"Now: serving {human(served)}/s, fetching {human(fetched)}/s, {max(0.0, asked):,.0f} requests/s."
    if seen.clients:
        yield "Clients:"
    for one in seen.clients[:_CLIENTS]:
        yield f"  {one.address or 'unknown':15}  {human(one.size):>9}  {counted(one.requests, 'request'):>16}  last {local_time(one.last)}"


def _ahead(known: dict[str, Any]) -> Iterator[str]:
    for pin in known["pins"]:
        damaged = f", {pin['damaged']} damaged" if pin["damaged"] else ""
        yield f"Pinned: {pin['name']} ({pin['present']} of {pin['archives']} there{damaged})"
    for keep in known["keep"]:
        when = "now" if keep["active"] else f"next at {local(keep['next'])}"
        yield f"Kept at {keep['at']}: {', '.join(keep['name'])} ({keep['present']} of {keep['archives']} there; {when})"
    if known["rate_limit"]:
        yield f"Origins are read with at most {human(known['rate_limit'])}/s now (rate_limit)."


def _fills(known: dict[str, Any]) -> Iterator[str]:
    if known["fills"]:
        yield "Being fetched:"
    for fill in known["fills"]:
        total = f" of {human(fill['total'])}" if fill["total"] is not None else ""
        left = f", {lasting(fill['eta'])} left" if fill["eta"] is not None else ""
        pace = "waits for a free place" if fill["waiting"] else f"{human(fill['rate'])}/s{left}{', slow' if fill.get('slow') else ''}"
        readers = counted(fill["readers"], "reader")
        yield f"  {human(fill['received'])}{total}, {pace}, {readers}  {fill['url']}"


def _trouble(known: dict[str, Any]) -> Iterator[str]:
    for upstream in known["upstreams"]:
        if upstream["resting"]:
            yield f"On hold: {upstream['place']} ({upstream['last_error']})"
    if known["failures"]:
        yield "Recent failures:"
    for failure in known["failures"][:_FAILURES]:
        yield f"  {local(failure['at'])}  {failure['status']}  {failure['detail']} {failure['hint']}"
