"""`report`: what the mirror did in some time, for whoever pays for it."""

import csv
import sys
import time
from collections.abc import Iterator, Sequence

import click

from dataset_mirror.cli.columns import table
from dataset_mirror.cli.log import seconds_since
from dataset_mirror.cli.port import Port, ported
from dataset_mirror.cli.sizes import human, lasting, moment
from dataset_mirror.errors import UsageError
from dataset_mirror.rules.counted import counted
from dataset_mirror.status.figures import ReportRow, ReportStatus
from dataset_mirror.store.history import DAY, KEPT

_COUNTS = ("served", "fetched", "saved", "hits", "misses", "failures")
_CSV = ("section", "name", *_COUNTS, "size", "at", "detail")
_SHOWN = 10


@click.command(name="report")
@click.option("--since", default="30d", show_default=True, help='How far back: "30d", "12h", or a date (local).')
@click.option("--csv", "as_csv", is_flag=True, help="Print a table for spreadsheets: every line, sizes in bytes.")
@click.option("--json", "as_json", is_flag=True, help="Print what GET /status/report says.")
@ported
def command(port: Port, since: str, as_csv: bool, as_json: bool) -> None:
    """Report what the mirror did: top datasets, saved bytes and hours, clients, failures, and what nobody used.

    Saved are the bytes that went to clients without what was fetched from the origins. Hours are those bytes at the rate of an
    average download from the origins in the same time (all bytes fetched, by the seconds that each download took). Clients are
    networks. History is kept by the minute for a day, by the hour for 90 days, and by the day for five years.
    """
    if as_csv and as_json:
        raise UsageError("--csv and --json are two forms.", "Give one of them.")
    known = port.report(time.time() - min(max(seconds_since(since), 1.0), KEPT[DAY]))
    if as_json:
        click.echo(known.model_dump_json(indent=2))
    elif as_csv:
        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerow(_CSV)
        writer.writerows(_lines(known))
        sys.stdout.flush()  # if that fails, the command has failed
    else:
        _show(known)


def _lines(known: ReportStatus) -> Iterator[Sequence[object]]:
    def counted(section: str, name: str, row: object) -> Sequence[object]:
        return (section, name, *(getattr(row, count) for count in _COUNTS), "", "", "")

    yield counted("total", "", known.total)
    for section, rows in (("dataset", known.datasets), ("origin", known.origins), ("client", known.clients)):
        for row in rows:
            yield counted(section, row.name, row)
    blank = ("",) * len(_COUNTS)
    for failure in known.failures:
        yield ("failure", failure.url, *blank, "", moment(failure.at), f"{failure.status} {failure.detail}")
    for one in known.unused.archives:
        yield ("unused", one.url, *blank, one.size, moment(one.used), "")


def _show(known: ReportStatus) -> None:
    total = known.total
    click.echo(f"From {moment(known.since)} to {moment(known.until)}")
    part = f" ({known.hit_ratio:.0%} of what was served)" if known.hit_ratio is not None else ""
    click.echo(f"Served {human(total.served)}, fetched {human(total.fetched)}: {human(total.saved)} saved{part}.")
    click.echo(f"{counted(total.hits, 'hit')}, {counted(total.misses, 'miss')}, {counted(total.failures, 'failure')}.")
    if known.hours_saved is not None and known.origin_rate is not None:
        saved = lasting(known.hours_saved * 3600)
        click.echo(f"That is {saved} of downloads, at the {human(known.origin_rate)}/s that the origins gave on average.")
    click.echo(f"Stored: {counted(known.stored.number, 'archive')}, {human(known.stored.size)}.")
    for title, rows in (("dataset", known.datasets), ("origin", known.origins), ("client network", known.clients)):
        _show_rows(title, rows)
    _show_failures(known)
    _show_unused(known)


def _show_rows(title: str, rows: Sequence[ReportRow]) -> None:
    if not rows:
        return
    click.echo()
    cells = [
        (human(row.served), human(row.saved), f"{row.hits:,}", f"{row.misses:,}", f"{row.failures:,}", row.name or "unknown")
        for row in rows[:_SHOWN]
    ]
    table(("served", "saved", "hits", "misses", "failures", title), cells, right=range(5))
    _more(len(rows))


def _show_failures(known: ReportStatus) -> None:
    if known.failures:
        click.echo("\nDownloads that failed last")
        table(("when", "status", "archive"), [(moment(one.at), str(one.status), one.url) for one in known.failures[:_SHOWN]])
        _more(len(known.failures))


def _show_unused(known: ReportStatus) -> None:
    unused = known.unused
    if unused.number:
        click.echo(f"\nNot used since then, and not pinned: {counted(unused.number, 'archive')}, {human(unused.size)}; they could go (rm)")
        rows = [(human(one.size), moment(one.used), one.url) for one in unused.archives[:_SHOWN]]
        table(("size", "last used", "archive"), rows, right=(0,))
        _more(unused.number)


def _more(number: int) -> None:
    if number > _SHOWN:
        click.echo(f"and {number - _SHOWN:,} more (--csv has them)")
