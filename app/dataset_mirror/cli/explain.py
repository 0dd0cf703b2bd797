"""`explain`: what the mirror does with a URL, and why."""

import json
import sys
from urllib.parse import quote

import click

from dataset_mirror.cli import live
from dataset_mirror.cli.here import store_of
from dataset_mirror.cli.options import configured
from dataset_mirror.mirror import Mirror
from dataset_mirror.settings import Configuration
from dataset_mirror.status.explain import explain
from dataset_mirror.status.models import Explanation


@click.command(name="explain")
@click.argument("url")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@configured
def command(configuration: Configuration, url: str, as_json: bool) -> None:
    """Tell what a request for URL would get: hit, miss or refusal, and why. Nothing is fetched.

    URL is an archive's, a path of the mirror, or a name of the catalog. Ends with 1 for a refusal.
    """
    server = live.found(configuration.settings)
    if server:
        found = Explanation(**live.ask(server, configuration.settings, f"/status/explain?url={quote(url, safe='')}"))
    else:
        with store_of(configuration) as store:
            found = explain(Mirror(configuration, store), url)
    click.echo(json.dumps(found.model_dump(), indent=2) if as_json else _text(found))
    sys.exit(1 if found.outcome == "refusal" else 0)


def _text(found: Explanation) -> str:
    lines = [f"{found.outcome.upper()} ({found.status})  {found.url}", *(f"  {sentence}" for sentence in found.why)]
    lines += [f"  {found.hint}"] if found.hint else []
    lines += [f"  At this mirror: {path}" for path in found.at]
    lines += [f"  Fetched from:   {url}" for url in found.asked]
    return "\n".join(lines)
