"""The table of `check`."""

import sys
from collections.abc import Sequence

from dataset_mirror.airgap.preflight.check import Row
from dataset_mirror.cli.columns import table
from dataset_mirror.cli.sizes import human
from dataset_mirror.rules.counted import are, counted, share

_HEADINGS = ("archive", "asked for at", "present", "verified", "size", "how to get it")
_MOST_PLACES = 3
_MOST_COMMANDS = 4


def show(rows: Sequence[Row]) -> None:
    """Prints the rows: as a table on a terminal, in plain columns elsewhere."""
    if not rows:
        return
    cells = [_cells(row) for row in rows]
    if sys.stdout.isatty():
        _show_table(cells)
        return
    table(_HEADINGS, cells)


def _show_table(cells: Sequence[tuple[str, ...]]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    shown = Table(box=None, pad_edge=False, header_style="bold")
    for heading in _HEADINGS:
        shown.add_column(heading, overflow="fold")
    for line in cells:
        style = {"yes": "", "cannot tell": "yellow"}.get(line[2], "red")
        shown.add_row(*(Text(cell, style=style if column == 2 else "") for column, cell in enumerate(line)))
    Console().print(shown)


def _cells(row: Row) -> tuple[str, ...]:
    places = ", ".join(row.places[:_MOST_PLACES])
    if more := len(row.places) - _MOST_PLACES:
        places += f" and {more} more" if more > 0 else ""
    if row.state == "cannot tell":
        return (row.reason, places, "cannot tell", "", "", "")
    present = {"present": "yes", "missing": "no", "fetching": "on its way", "not listed": "not allowed"}[row.state]
    verified = ("yes" if row.verified else "no") if row.state == "present" else ""
    return (_archive(row), places, present, verified, human(row.size) if row.size is not None else "", row.get)


def _archive(row: Row) -> str:
    if row.name == row.url:
        return row.name
    return f"{row.name} {row.url.rpartition('/')[2]}" if row.name else row.url


def summary(rows: Sequence[Row], where: str = "") -> str:
    """One sentence: how much is there, and what to do about the rest; `where`, if not here."""
    archives = [row for row in rows if row.state != "cannot tell"]
    doubts = sum(len(row.places) for row in rows if row.state == "cannot tell")
    absent = [row for row in archives if row.state != "present"]
    if not rows:
        return "No archive is asked for."
    said = _found(len(archives), len(absent))
    if commands := list(dict.fromkeys(row.get for row in absent if row.get)):
        said += f": {_together(commands)}"
        said += f" ({where})" if where else ""
    if doubts:
        said += f"; at {counted(doubts, 'place')} it cannot be told what is asked for"
    return f"{said}."


def _found(number: int, absent: int) -> str:
    if not number:
        return "No archive that is requested can be told"
    if not absent:
        return "The archive is there" if number == 1 else f"All {counted(number, 'archive')} are there"
    there = number - absent
    return f"{share(there, number, 'archive')} there; {absent:,} {are(absent)} not"


def _together(commands: Sequence[str]) -> str:
    """One `fetch` for several of them; the table has all."""
    prefix = "dataset-mirror fetch "
    fetched = [command.removeprefix(prefix) for command in commands if command.startswith(prefix)]
    others = [command for command in commands if not command.startswith(prefix)]
    joined = [prefix + " ".join(fetched[:_MOST_COMMANDS])] if fetched else []
    shown = " && ".join([*joined, *others[:_MOST_COMMANDS]])
    return shown if len(fetched) <= _MOST_COMMANDS and len(others) <= _MOST_COMMANDS else f"{shown} … (the rest is in the table)"
