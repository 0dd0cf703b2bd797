"""`presets`: what ships with the mirror and may be switched on."""

import json
from collections.abc import Sequence
from dataclasses import asdict

import click

from dataset_mirror.cli.options import local_only
from dataset_mirror.errors import UsageError
from dataset_mirror.origins.presets import shipped
from dataset_mirror.origins.presets.facts import Facts, facts_of
from dataset_mirror.rules.counted import counted
from dataset_mirror.settings import Configuration

_HEADINGS = ("preset", "on", "hosts", "archives", "with digest", "what for")
_MOST_HOSTS = 12


@click.command(name="presets")
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per line.")
@local_only
def command(configuration: Configuration, names: tuple[str, ...], as_json: bool) -> None:
    """List the presets: hosts, archives known by name, how many of these with a digest, and how to switch them on.

    With NAMEs: what to know of these, and their hosts. A preset allows its hosts; some have rules in place of a list of archives.
    """
    found = [facts_of(name, configuration.file.parent, on=name in configuration.settings.presets) for name in _meant(configuration, names)]
    if as_json:
        for one in found:
            click.echo(json.dumps(asdict(one)))
        return
    if names:
        for one in found:
            _describe(one)
    else:
        _show(found)
    click.echo(_how(configuration, [one.name for one in found if not one.on]))


def _meant(configuration: Configuration, names: Sequence[str]) -> list[str]:
    """The named ones; all that ship, and those of one's own that are on, if none is named."""
    known = list(dict.fromkeys([*shipped(), *configuration.settings.presets]))
    for name in names:
        if name not in known:
            from difflib import get_close_matches

            near = get_close_matches(name, known, n=1)
            raise UsageError(f"There is no preset {name!r}.", f"Did you mean {near[0]}?" if near else f"Presets are: {', '.join(known)}.")
    return list(dict.fromkeys(names)) or known


def _show(found: Sequence[Facts]) -> None:
    lines = [_HEADINGS, *(_cells(one) for one in found)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(_HEADINGS) - 1)]
    for *cells, last in lines:
        click.echo("  ".join([*(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)), last]).rstrip())


def _cells(one: Facts) -> tuple[str, ...]:
    archives = f"{one.archives:,}" if one.archives else "by rule"
    digests = f"{one.with_digest:,}" if one.archives else ""
    return (one.name, "on" if one.on else "", f"{len(one.hosts):,}", archives, digests, one.about)


def _describe(one: Facts) -> None:
    click.echo(f"{one.name} ({'on' if one.on else 'off'}): {one.about}.")
    if one.archives:
        click.echo(f"  Archives: {one.archives:,} of {counted(one.datasets, 'name')}, {one.with_digest:,} with a digest.")
    more = f" and {len(one.hosts) - _MOST_HOSTS:,} more (see --json)" if len(one.hosts) > _MOST_HOSTS else ""
    click.echo(f"  Hosts: {', '.join(one.hosts[:_MOST_HOSTS])}{more}.")
    if one.note:
        click.echo(f"  {one.note}")
    click.echo()


def _how(configuration: Configuration, off: Sequence[str]) -> str:
    """How to switch them on: the line for mirror.toml, with what is on already."""
    example = ["tfds"] if len(off) > 3 and "tfds" in off else list(off)[:3]
    if not example:
        return "All of these are on."
    line = f"presets = {json.dumps([*configuration.settings.presets, *example])}"
    first = f"To switch one on, name it in {configuration.file}, for example:"
    return f"\n{first}\n\n    {line}\n\nA running server takes it up when it reloads (SIGHUP)."
