"""`log`: what was asked for lately."""

import re
import time
from datetime import datetime, timedelta

import click

from dataset_mirror.cli.columns import painted, shortened, width
from dataset_mirror.cli.port import Port, ported
from dataset_mirror.cli.sizes import human
from dataset_mirror.errors import UsageError
from dataset_mirror.rules.counted import counted
from dataset_mirror.status.models import LogLine

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*([smhdw])[a-z]*(?:\s+ago)?", re.IGNORECASE)


@click.command(name="log")
@click.option(
    "--since", default="1h", show_default=True, help='How far back: "10m", "2h", "1d", a time of day, or a date and a time (local).'
)
@click.option("--limit", type=click.IntRange(1, 10_000), default=1000, show_default=True, help="Most requests, the latest.")
@click.option("--client", help="Only of this address.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per line.")
@ported
def command(port: Port, since: str, limit: int, client: str | None, as_json: bool) -> None:
    """Show the latest requests of the running mirror, the oldest first: what was asked for, by whom, and what became of it.

    It remembers the last 10,000. Repeats of small archives, answered from memory, are only counted (see `clients`); an access log
    (serve --access-log) has every request.
    """
    found = [one for one in port.log(seconds_since(since), limit) if client in (None, one.client)]
    for one in found:
        click.echo(one.model_dump_json() if as_json else _row(one))
    if not as_json:
        click.echo(counted(len(found), "request"), err=True)


def seconds_since(text: str) -> float:
    """How many seconds ago that was: a duration, a time of day, or a date, in local time. UsageError if it is none of them.

    Nothing is longer ago than the epoch.
    """
    text = text.strip()
    if match := _DURATION.fullmatch(text):
        return min(float(match[1]) * _UNITS[match[2].lower()], time.time())
    now = datetime.now().astimezone()
    try:
        if re.fullmatch(r"\d{1,2}:\d{2}(:\d{2})?", text):
            moment = datetime.combine(
                now.date(), datetime.strptime(text, "%H:%M" if text.count(":") == 1 else "%H:%M:%S").time()
            ).astimezone()
            moment -= timedelta(days=moment > now)
        else:
            moment = datetime.fromisoformat(text)
            moment = moment if moment.tzinfo else moment.astimezone()
    except ValueError:
        raise UsageError(f"{text!r} is no time.", 'Write --since 10m, --since 14:30 or --since "2026-03-04 14:30".') from None
    return min(max(0.0, time.time() - moment.timestamp()), time.time())


def _row(one: LogLine) -> str:
    when = f"{datetime.fromtimestamp(one.at):%Y-%m-%d %H:%M:%S}"
    colour = {"hit": "green", "miss": "yellow"}.get(one.outcome, "red" if one.status >= 400 else "white")
    row = f"{when}  {one.client or 'unknown':15}  {one.status} {one.outcome:12}  {human(one.size):>9}  {one.seconds:>7.2f} s  "
    what = one.archive or one.target
    left = None if (most := width()) is None else max(16, most - len(row))
    shown = what if left is None else shortened(what, left)
    row = row.replace(f"{one.status} {one.outcome:12}", painted(f"{one.status} {one.outcome:12}", colour))
    return row + shown + ("" if one.complete else "  (cut off)")
