"""`check`: will it work? What a script, notebook or list asks for, and what of it the mirror has."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict

import click

from dataset_mirror.airgap.preflight.check import Row, preflight
from dataset_mirror.airgap.preflight.presence import Here, Known
from dataset_mirror.airgap.preflight.sources import asks_in_all
from dataset_mirror.cli import live
from dataset_mirror.cli.here import store_of
from dataset_mirror.cli.options import configured
from dataset_mirror.cli.rows import show, summary
from dataset_mirror.cli.there import There
from dataset_mirror.errors import UsageError
from dataset_mirror.settings import Configuration


@click.command(name="check")
@click.argument("given", nargs=-1, required=True, metavar="NAME|URL|GLOB|SCRIPT.py|NOTEBOOK.ipynb|LIST...")
@click.option("--mirror", "mirror_url", metavar="URL", help="Ask the mirror at this URL, not the one of the data folder.")
@click.option("--want", is_flag=True, help="Put what is missing on the mirror's wanted list.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line.")
@configured
def command(configuration: Configuration, given: tuple[str, ...], mirror_url: str | None, want: bool, as_json: bool) -> None:
    """Tell before a run whether all archives are there that it will ask for.

    Scripts and notebooks are read, never run: keras.datasets, keras.applications, get_file, and URLs of known origins. What
    only a run can tell is listed as "cannot tell". Modules that a script imports are not followed: name them, too. A LIST has
    a name or URL a line; - is one on standard input.

    Ends with 0 if all is there, 1 if something is missing or cannot be told, 2 for wrong usage.
    """
    with _known(configuration, mirror_url) as known:
        rows = preflight(asks_in_all(given, known.names), known)
        wanted = known.want(row.url for row in rows if row.state == "missing") if want else []
        if as_json:
            for row in rows:
                click.echo(json.dumps(_facts(row)))
        else:
            show(rows)
            elsewhere = "on that mirror's machine" if mirror_url else ""
            click.echo(summary(rows, "where there is a network" if known.offline else elsewhere))
    if want:
        click.echo(f"{len(wanted):,} {'is' if len(wanted) == 1 else 'are'} on the wanted list now: dataset-mirror wanted", err=True)
    sys.exit(0 if all(row.state == "present" for row in rows) else 1)


@contextmanager
def _known(configuration: Configuration, mirror_url: str | None) -> Iterator[Known]:
    """The mirror to ask: the one named, else the live server of the data folder, else the folder itself."""
    if mirror_url is not None and not mirror_url.startswith(("http://", "https://")):
        raise UsageError(f"{mirror_url!r} is not the URL of a mirror.", "Give one such as http://mirror:8080.")
    url = mirror_url or live.found(configuration.settings)
    if url:
        with live.server(url, configuration.settings) as client:
            yield There(client)
        return
    with store_of(configuration) as store:
        yield Here(store, configuration.origins, offline=configuration.settings.offline)


def _facts(row: Row) -> dict[str, object]:
    known = asdict(row) | {"present": row.state == "present"}
    return {key: value for key, value in known.items() if value not in ("", None)}
