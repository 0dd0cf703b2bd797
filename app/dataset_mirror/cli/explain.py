"""`explain`: what the mirror does with a URL, and why."""

import json
import sys

import click

from dataset_mirror.cli.port import Port, ported
from dataset_mirror.status.contents import Explanation


@click.command(name="explain")
@click.argument("url")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@ported
def command(port: Port, url: str, as_json: bool) -> None:
    """Explain what a request for URL would get: a hit, a miss or a refusal, and why. Nothing is fetched.

    URL is that of an archive, a path of the mirror, or a catalog name. Exits with status 1 for a refusal.
    """
    found = port.explain(url)
    click.echo(json.dumps(found.model_dump(), indent=2) if as_json else _text(found))
    sys.exit(1 if found.outcome == "refusal" else 0)


def _text(found: Explanation) -> str:
    lines = [f"{found.outcome.upper()} ({found.status})  {found.url}", *(f"  {sentence}" for sentence in found.why)]
    lines += [f"  {found.hint}"] if found.hint else []
    lines += [f"  At this mirror: {path}" for path in found.at]
    lines += [f"  Fetched from:   {url}" for url in found.asked]
    return "\n".join(lines)
