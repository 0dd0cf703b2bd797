"""Tables that fit the terminal, and colours that NO_COLOR turns off."""

import os
import shutil
import sys
from collections.abc import Collection, Iterable, Sequence

import click

_LEAST = 16
"""Columns that are left for what is shortened, however narrow the terminal is."""


def width() -> int | None:
    """Columns there are to write in: COLUMNS, else the terminal's; None in a pipe or a file, where nothing is shortened."""
    if os.environ.get("COLUMNS", "").isdecimal():
        return int(os.environ["COLUMNS"])
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def shortened(text: str, most: int) -> str:
    """The text in so many columns: its middle goes, since the end of a URL says what it is."""
    if len(text) <= most:
        return text
    tail = max(1, (most - 1) * 2 // 3)
    return f"{text[: most - 1 - tail]}…{text[-tail:]}"


def painted(text: str, colour: str) -> str:
    """The text in a colour, on a terminal whose user wants colours (https://no-color.org)."""
    if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb" or not sys.stdout.isatty():
        return text
    return click.style(text, fg=colour)


def table(headings: Sequence[str], rows: Iterable[Sequence[str]], *, right: Collection[int] = ()) -> None:
    """Prints rows below their headings; numbers of the columns `right` end there. The widest column is shortened to fit."""
    lines = [tuple(headings), *(tuple(row) for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(headings))]
    most = width()
    if most is not None and (over := sum(widths) + 2 * (len(widths) - 1) - most) > 0:
        widest = widths.index(max(widths))
        widths[widest] = max(_LEAST, widths[widest] - over)
    for line in lines:
        cells = [shortened(cell, size) for cell, size in zip(line, widths, strict=True)]
        click.echo("  ".join(_placed(cell, widths[at], end=at in right) for at, cell in enumerate(cells)).rstrip())


def _placed(cell: str, size: int, *, end: bool) -> str:
    return cell.rjust(size) if end else cell.ljust(size)
