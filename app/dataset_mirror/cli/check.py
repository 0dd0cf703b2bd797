"""`check`: will it work? What a script, notebook or list asks for, and what of it the mirror has."""

import json
import sys
from dataclasses import asdict

import click

from dataset_mirror.airgap.preflight.check import Row, preflight
from dataset_mirror.airgap.preflight.sources import asks_in_all
from dataset_mirror.cli.port import Port, ported
from dataset_mirror.cli.rows import show, summary
from dataset_mirror.rules.counted import are


@click.command(name="check")
@click.argument("given", nargs=-1, required=True, metavar="NAME|URL|GLOB|FILE...")
@click.option("--want", is_flag=True, help="Add what is missing, and what no origin lists, to the mirror's wanted list.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per line.")
@ported
def command(port: Port, given: tuple[str, ...], want: bool, as_json: bool) -> None:
    """Check, before a run, that the mirror has every archive it needs.

    FILE is a script or a notebook of Python, a script for a shell, a Dockerfile, a Makefile, requirements of pip, or a list with one
    name or URL per line; - reads a list from standard input. Files are read, never run: what known loaders ask for, and the URLs
    that calls and commands fetch. What only a run can show is listed as "cannot tell". Modules that a script imports are not
    followed: name them as well.

    Exits with status 0 if everything is there, 1 if something is missing or cannot be told, 2 for wrong usage.
    """
    rows = preflight(asks_in_all(given, port.names), port)
    wanted = port.want(row.url for row in rows if row.state in ("missing", "not listed")) if want else []
    if as_json:
        for row in rows:
            click.echo(json.dumps(_facts(row)))
    else:
        show(rows)
        elsewhere = "on that mirror's machine" if port.elsewhere else ""
        click.echo(summary(rows, "where there is a network" if port.offline else elsewhere))
    if want:
        click.echo(f"{len(wanted):,} {are(len(wanted))} on the wanted list now: dataset-mirror wanted", err=True)
    sys.exit(0 if all(row.state == "present" for row in rows) else 1)


def _facts(row: Row) -> dict[str, object]:
    known = asdict(row) | {"present": row.state == "present"}
    return {key: value for key, value in known.items() if value not in ("", None)}
