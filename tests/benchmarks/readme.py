"""The README's table, as one run gave it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from tests.benchmarks.measure import NOTHING, OURS, Figures, Line, Result, short

README = Path(__file__).parents[2] / "README.md"
BEGIN, END = "<!-- figures -->", "<!-- end of figures -->"
TITLES = {
    "large-hit-t1": "11.5 MB hits, 16 connections",
    "large-hit-t2": "the same, `wrk -t2`",
    "large-hit-c1": "the same, 1 connection",
    "large-hit-c64": "the same, 64 connections",
    "large-tls-hit": "11.5 MB hits over TLS",
    "workers": "11.5 MB hits, 2 processes beside 2 workers",
    "workers-tls": "the same over TLS",
    "small-hit": "57 KB hits, 16 connections",
    "small-hit-c1": "the same, 1 connection",
    "small-hit-c64": "the same, 64 connections",
    "random-ranges": "1 MiB ranges of 1 GB, 16 connections",
    "random-ranges-c1": "the same, 1 connection",
    "random-ranges-c64": "the same, 64 connections",
    "fill": "cold 1 GB; ours with SHA-256 and fsync, nginx with `proxy_cache`",
    "https-fill": "the same from an HTTPS origin",
    "https-fill-paced": "the same, 25 MB/s a connection (ours opens 4)",
    "cpu-https-fill": "cold 1 GB from an HTTPS origin",
    "cpu-fill": "cold 1 GB",
    "cpu-hit": "11.5 MB hits",
    "cpu-tls-hit": "11.5 MB hits over TLS",
    "idle": "memory per idle connection",
    "first-byte": "first byte of a miss",
    "last-bytes": "last 64 KiB of a cold 64 MB, 4 MB/s a connection",
    "herd": "24 clients, cold 64 MB, 4 MB/s a connection",
    "memory": "memory, 64 clients on 1 GB",
    "crowd": "500 clients at once on 100 MB",
    "crowd-1gb": "500 clients at once on 1 GB",
    "lag": "loop lag, 64 readers of a fill",
    "million": "1,000,000 archives",
    "pages": "pages of 1,000,000 archives",
    "bundles": "2 GB in 200 archives",
}
"""What each row is called there."""
SHOWN = {
    "herd": ("total", "first byte p99", "upstream bytes"),
    "lag": ("p99",),
    "million": ("start to ready", "hit latency", "list", "/status"),
    "pages": ("overview", "archives that have a word"),
    "bundles": ("export", "import"),
}
"""What is shown of rows that measure more than a reader of the README wants to know."""


def rewrite(results: Sequence[Result | Figures], machine: Mapping[str, str], rounds: int, file: Path = README) -> None:
    """Puts the figures of this run between the two marks of the file, whatever was there; SystemExit if they are missing."""
    text = file.read_text(encoding="utf-8")
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise SystemExit(f"{file} does not have the lines {BEGIN} and {END}, between which the table belongs.")
    file.write_text(f"{before}{BEGIN}\n{_section(results, machine, rounds)}\n{END}{after}", encoding="utf-8")


def _section(results: Sequence[Result | Figures], machine: Mapping[str, str], rounds: int) -> str:
    where = ", ".join(said if name in ("machine", "system") else f"{name} {said}" for name, said in machine.items())
    turns = "One turn each" if rounds == 1 else f"Medians of {rounds} turns each"
    lines = [
        f"{turns}, one after the other in one run, over the loopback of {where}.",
        "",
        "| what | mirror | beside it |",
        "|---|---|---|",
    ]
    return "\n".join([*lines, *(f"| {' | '.join(cells)} |" for result in results for cells in _rows(result))])


def _rows(result: Result | Figures) -> Iterator[tuple[str, str, str]]:
    """A row for each thing that was measured: ours, and those beside it."""
    title = TITLES[result.row]
    lines = list(result.lines)
    for what in SHOWN.get(result.row, dict.fromkeys(line.what for line in lines)):
        same = [line for line in lines if line.what == what]
        ours = next((line for line in same if line.who == OURS), None)
        others = [line for line in same if line is not ours]
        yield f"{title}{': ' if what else ''}{what}", _figure(ours), _beside(result, ours, others)


def _figure(line: Line | None) -> str:
    return f"{short(line.median)}{'/s' if line.unit == '1/s' else ' ' + line.unit}" if line else ""


def _beside(result: Result | Figures, ours: Line | None, others: Sequence[Line]) -> str:
    """How many times each of the others ours is, or what they had; and what ours is compared with."""
    if isinstance(result, Result):
        return ", ".join(f"{result.ratio(OURS) / (result.ratio(line.who) or NOTHING):.2f} × {line.who}" for line in others)
    said = [f"{line.who} {_figure(line)}" for line in others]
    return ", ".join([*([ours.compared] if ours and ours.compared else []), *said])
