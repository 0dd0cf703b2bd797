"""`fetch`: archives into the mirror, ahead of time."""

import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import click

from dataset_mirror.airgap.blocks import allow as allow_in
from dataset_mirror.airgap.lists import is_listed, meant, read_list
from dataset_mirror.airgap.proposals import Proposal, in_list, needed, to_allow
from dataset_mirror.cli import INTERRUPTED
from dataset_mirror.cli.live import found
from dataset_mirror.cli.logs import configure
from dataset_mirror.cli.names import names_of_catalog
from dataset_mirror.cli.options import configured, mirror_option, mirror_url
from dataset_mirror.cli.port import Port, opened
from dataset_mirror.cli.steps import view
from dataset_mirror.errors import MirrorError, NotAllowed, UsageError
from dataset_mirror.origins.identity import ArchiveId, parse_url
from dataset_mirror.origins.meaning import Meaning
from dataset_mirror.origins.names import prefix_of
from dataset_mirror.origins.typed import as_typed
from dataset_mirror.rules.counted import counted, share
from dataset_mirror.settings import Configuration


@click.command(name="fetch")
@click.argument("wanted", type=as_typed, nargs=-1, metavar="[NAME|URL|GLOB...]", shell_complete=names_of_catalog)
@click.option("--from", "files", multiple=True, metavar="FILE", help="A list with one NAME, URL or GLOB per line; - is standard input.")
@click.option("--allow", multiple=True, metavar="HOST", help="Also allow, in mirror.toml, what the lists have of this host.")
@click.option("--json", "as_json", is_flag=True, help="Print progress as one JSON object per line.")
@mirror_option()
@configured
def command(
    configuration: Configuration, mirror: str | None, wanted: tuple[str, ...], files: tuple[str, ...], allow: tuple[str, ...], as_json: bool
) -> None:
    """Fetch archives into the mirror, ahead of time.

    NAME is a catalog name (keras/mnist), or a whole repository of a hub at a revision (hf:org/name@v1, hf:datasets/org/name; without
    @REVISION its main branch). GLOB is several catalog names ('keras/*'), URL any archive of a listed origin. If a server is running,
    it does the work. What is already stored is not fetched again, so an interrupted run can simply be repeated.

    Archives of hosts that no origin lists are named by host, lines of a list that mean nothing by their numbers, and the others are
    fetched. --allow HOST writes the origin that they need into mirror.toml of the mirror here; a wanted list proposes it, with the
    hosts that it redirects to, which have to be allowed, too.

    Exits with status 1 if any archive did not arrive; with --from, the last lines list those, as input for another run.
    """
    configure("error")
    if not wanted and not files:
        raise UsageError("Nothing to fetch was named.", "Name archives (keras/mnist), or give a list: --from FILE")
    lists = [(file, read_list(file)) for file in files]
    proposed = [proposal for _, text in lists for proposal in in_list(text)]
    elsewhere = _elsewhere(configuration, mirror)
    if allow:
        _allow(configuration, elsewhere, wanted, lists, allow)
    with opened(configuration, elsewhere) as port:
        if allow:
            port.reload()
        asked = _asked(port, wanted, lists)
        failed = _fetched(port, asked, as_json=as_json)
    for error in asked.wrong:
        click.echo(f"Not fetched: {error}", err=True)
    _name_unlisted(asked, proposed, elsewhere)
    if failed and files and not as_json:
        _list(failed)
    sys.exit(1 if failed or asked.unlisted or asked.wrong else 0)


def _elsewhere(configuration: Configuration, mirror: str | None) -> str | None:
    """The URL of a mirror that was named, unless it is that of the data folder."""
    url = mirror_url(mirror) if mirror else None
    return None if url == found(configuration.settings) else url


@dataclass(frozen=True, slots=True)
class _Asked:
    """What was named: archives, whole repositories, what no origin lists, and lines that mean nothing."""

    archives: list[ArchiveId]
    repositories: list[str]
    unlisted: list[ArchiveId]
    wrong: list[MirrorError]


def _asked(port: Port, wanted: tuple[str, ...], lists: Sequence[tuple[str, str]]) -> _Asked:
    """One name on the command line that means nothing ends it all; what is wrong with a list's lines does not."""
    repositories = [name for name in wanted if prefix_of(name)]
    named, unlisted = list[ArchiveId](), list[ArchiveId]()
    for name in wanted:
        Meaning(name).check_one()
        try:
            if name in repositories:
                port.repository(name)
            else:
                named += port.select(name)
        except NotAllowed:
            unlisted.append(parse_url(name))
    lines = [line for file, text in lists for line in meant(file, text, port)]
    repositories += [line.entry for line in lines if prefix_of(line.entry) and not line.wrong]
    named += [archive for line in lines for archive in line.archives]
    unlisted += [line.unlisted for line in lines if line.unlisted]
    more = port.unlisted(list(dict.fromkeys(named)))
    refused = frozenset(more)
    return _Asked(
        [archive for archive in dict.fromkeys(named) if archive not in refused],
        list(dict.fromkeys(repositories)),
        list(dict.fromkeys([*unlisted, *more])),
        [line.wrong for line in lines if line.wrong],
    )


def _allow(
    configuration: Configuration, mirror: str | None, wanted: tuple[str, ...], lists: Sequence[tuple[str, str]], allowed: tuple[str, ...]
) -> None:
    if mirror:
        raise UsageError("--allow changes mirror.toml here, not that of another mirror.", "Run it on that mirror's machine.")
    origins = configuration.origins
    unlisted = [line.unlisted for file, text in lists for line in meant(file, text, origins) if line.unlisted]
    unlisted += [parse_url(url) for url in wanted if "://" in url and not is_listed(origins, parse_url(url))]
    blocks = needed(unlisted, origins, [proposal for _, text in lists for proposal in in_list(text)], allowed)
    if blocks:
        allow_in(configuration.file, *blocks)
        configuration.reload()


def _fetched(port: Port, asked: _Asked, *, as_json: bool) -> dict[str, MirrorError]:
    """Fetches; returns what failed, and why."""
    failed: dict[str, MirrorError] = {}
    sizes = {f"//{archive}": port.size_of(archive) for archive in asked.archives}
    shown = view(None if asked.repositories else len(sizes), as_json=as_json, sizes=sizes)
    there, announced = set[str](), set[str]()
    try:
        with shown:
            for step in port.fetch(asked.archives, asked.repositories) if asked.archives or asked.repositories else ():
                if step.state == "waiting":
                    announced.add(step.url)
                elif step.error:
                    failed[step.url] = step.error
                elif step.over:
                    there.add(step.url)
                shown.show(step)
    except KeyboardInterrupt:
        click.echo(f"\n{_interrupted(port, len(there), len(sizes) + len(announced))}", err=True)
        sys.exit(INTERRUPTED)
    return failed


def _name_unlisted(asked: _Asked, proposed: list[Proposal], elsewhere: str | None) -> None:
    """By host, with what allows it."""
    for host, count in Counter(archive.authority for archive in asked.unlisted).items():
        options = " ".join(f"--allow {one}" for one in to_allow(host, proposed))
        archives = f"{counted(count, 'archive')} of {host}"
        how = "run on that mirror's machine: dataset-mirror fetch ..." if elsewhere else "add to the command:"
        click.echo(f"Not fetched: {archives}, which no origin lists. To allow it, {how} {options}", err=True)


def _interrupted(port: Port, there: int, total: int) -> str:
    """What is kept of an interrupted run, and what becomes of the rest."""
    if port.url:
        rest = f"The mirror at {port.url} finishes the downloads that have started."
    else:
        rest = "What has arrived of large archives is kept, and the next run resumes it."
    return f"Interrupted. {share(there, total, 'archive')} stored and kept. {rest} Run the same command again for the rest."


def _list(failed: dict[str, MirrorError]) -> None:
    click.echo("# Not fetched; run the same command to try these again:")
    for url, error in failed.items():
        click.echo(f"{url}  # {error.detail}")
