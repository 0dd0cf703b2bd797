"""`top`: what the mirror does at this moment, again and again."""

import click

from dataset_mirror.cli.options import configured, mirror_option
from dataset_mirror.cli.status import looking, shown_once, watched
from dataset_mirror.settings import Configuration


@click.command(name="top")
@mirror_option()
@click.option("--once", is_flag=True, help="Show it once, and end.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object, and end.")
@configured
def command(configuration: Configuration, mirror: str | None, once: bool, as_json: bool) -> None:
    """Watch the mirror: downloads with their speed, how much is served and fetched per second, and the busiest clients.

    Shown again every second, until Ctrl-C; the same as `status --watch`.
    """
    look = looking(configuration, mirror)
    if once or as_json:
        shown_once(look, as_json=as_json, busy=True)
    else:
        watched(look)
