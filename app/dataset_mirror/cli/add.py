"""`add`: allows an archive that no origin lists yet, by a block in mirror.toml."""

import json
import sys

import click

from dataset_mirror.airgap.blocks import allow
from dataset_mirror.airgap.proposals import Proposal
from dataset_mirror.cli.options import local_only
from dataset_mirror.cli.port import Port, opened
from dataset_mirror.cli.sizes import human
from dataset_mirror.errors import MirrorError, UsageError
from dataset_mirror.fetch.tracing import Trace
from dataset_mirror.origins.identity import ArchiveId, parse_url
from dataset_mirror.origins.meaning import Meaning
from dataset_mirror.origins.table import Origins
from dataset_mirror.origins.typed import as_typed
from dataset_mirror.origins.unknown import path_to_list
from dataset_mirror.rules.marks import unmarked
from dataset_mirror.rules.sentences import quoted
from dataset_mirror.settings import Configuration


@click.command(name="add")
@click.argument("url", type=as_typed)
@click.option("--exact", is_flag=True, help="Allow only this path, not its whole folder.")
@click.option("--yes", "-y", is_flag=True, help="Allow the hosts that it redirects to as well, without asking.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object: where it goes, and what is allowed now. Asks nothing.")
@local_only
def command(configuration: Configuration, url: str, exact: bool, yes: bool, as_json: bool) -> None:
    """Allow an archive that no origin lists yet: adds its folder to mirror.toml, keeping the comments there.

    It looks where the URL goes, shows that, and asks before it allows redirects to other hosts. A running server does the
    looking, and reloads mirror.toml at once.
    """
    if (repository := configuration.origins.repository(url)) is not None:
        said = f"{repository} is already allowed. Fetch it: dataset-mirror fetch {repository}"
        click.echo(json.dumps({"url": str(repository), "added": False}) if as_json else said)
        return
    archive = _archive(configuration.origins, url)
    origin = configuration.origins.get(archive.authority)
    scheme = origin.scheme if origin else "http" if url.startswith("http://") else "https"
    is_listed = origin is not None and origin.lists(archive.path)
    with opened(configuration, None) as port:
        found = _traced(port, url)
        if not as_json:
            _show(url, found)
        hosts = _agreed(found, url, yes=yes, asks=not as_json)
        path = archive.path if exact else path_to_list(archive)
        is_added = bool(hosts) or not is_listed
        if is_added:
            allow(configuration.file, Proposal(f"{scheme}://{archive.authority}", (path,), hosts))
            port.reload()
            _check(port, url)
        if as_json:
            known = {"url": f"{scheme}://{archive}", "added": is_added, "path": path if is_added else None, "redirects_to": hosts}
            click.echo(json.dumps(known | {"file": str(configuration.file), "reloaded": port.url if is_added else None} | _facts(found)))
        elif is_added:
            click.echo(f"Added {path} of {archive.authority} to {configuration.file}.")
            if hosts:
                click.echo(f"It may redirect to {', '.join(hosts)}.")
            _tell(port, archive.authority, scheme, is_new=origin is None)
        else:
            click.echo(f"{scheme}://{archive} is already allowed.")


def _archive(origins: Origins, word: str) -> ArchiveId:
    """The one of a URL; UsageError for names, and for globs, which can allow nothing."""
    meaning = Meaning(word)
    if "*" in word:
        raise UsageError(f"{word!r} is a glob.", "Give the URL of one archive: its whole folder is allowed with it.")
    if origins.meant(word):
        raise UsageError(f"{word!r} is a name of the catalog: it is already allowed.", f"Fetch it: dataset-mirror fetch {word}")
    if "://" not in word and (meaning.is_file or meaning.as_url() is None):
        raise UsageError(f"{word!r} is no URL.", "Give one, such as https://data.example.org/sets/a.zip")
    return parse_url(word)


def _facts(found: Trace) -> dict[str, object]:
    """What was seen of where it goes."""
    trouble = {"detail": found.trouble.detail, "hint": found.trouble.hint} if found.trouble else {}
    return {"status": found.status, "size": found.size, "content_type": found.content_type, "redirects": found.hosts, **trouble}


def _traced(port: Port, url: str) -> Trace:
    """Where it goes; what keeps the mirror from looking is a part of that."""
    try:
        return port.trace(url)
    except MirrorError as error:
        if isinstance(error, UsageError):
            raise
        return Trace(trouble=error)


def _show(url: str, found: Trace) -> None:
    for host in found.hosts:
        click.echo(f"  redirects to {host}")
    if found.trouble:
        click.echo(f"Could not look up where it goes: {found.trouble}", err=True)
        return
    size = f", {human(found.size)}" if found.size is not None else ""
    click.echo(f"  answers {found.status}{size}{f', {found.content_type}' if found.content_type else ''}")
    if found.status is not None and found.status >= 400:
        click.echo(f"Not an archive: check {url}.", err=True)
    if url.startswith("http://") and found.place.startswith("http://"):
        click.echo("Its bytes come over plain http: without a digest in [[archives]] changes on the way go unnoticed.")


def _agreed(found: Trace, url: str, *, yes: bool, asks: bool) -> tuple[str, ...]:
    """The hosts that may be redirected to: asked for, where somebody can answer."""
    if not found.hosts or yes:
        return found.hosts
    named = ", ".join(found.hosts)
    if asks and sys.stdin.isatty() and click.confirm(f"Allow redirects to {named}?"):
        return found.hosts
    click.echo(
        f"Redirects to {named} are not allowed: it cannot be fetched. To allow them: dataset-mirror add {quoted(url)} --yes", err=True
    )
    return ()


def _check(port: Port, url: str) -> None:
    """UsageError if a running server refuses it all the same."""
    found = port.explain(url) if port.url else None
    if found and found.outcome == "refusal":
        raise UsageError(
            f"The mirror at {port.url} has reloaded mirror.toml, and still refuses it: {' '.join(found.why)}",
            "If it runs with DATASET_MIRROR_ORIGINS in its environment, that counts instead of the file's origins: add it there.",
        )


def _tell(port: Port, host: str, scheme: str, *, is_new: bool) -> None:
    """Who has to do what now."""
    if port.url:
        click.echo(f"The mirror at {port.url} has reloaded it.")
    mirror = unmarked(port.url)[0] if port.url else "http://MIRROR:8080"
    if scheme == "http":
        click.echo(f"{host} is asked over plain http, which setup.sh sends through the mirror only if told to:")
        click.echo(f"""  eval "$(curl -fsS '{mirror}/setup.sh?http=1')\"""")
    elif is_new:
        click.echo(f"Shells that were set up before reach {host} through a tunnel, as until now. To get it from the mirror there:")
        click.echo(f"""  eval "$(curl -fsS {mirror}/setup.sh)\"""")
