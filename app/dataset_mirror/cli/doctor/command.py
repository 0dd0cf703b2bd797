"""`doctor`: checks the installation, and says what to do about what is wrong."""

import asyncio
import json
import os
import stat
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

import click
from click.core import ParameterSource

from dataset_mirror.cli import live
from dataset_mirror.cli.doctor.client import check_client, kinds_of
from dataset_mirror.cli.doctor.rebuild import rebuild_index
from dataset_mirror.cli.here import store_of
from dataset_mirror.cli.logs import configure
from dataset_mirror.cli.options import configured, mirror_option
from dataset_mirror.cli.run import authority_of, mirror_address
from dataset_mirror.doors import certificates
from dataset_mirror.doors.ca import CertificateAuthority
from dataset_mirror.errors import DataFolderError, MirrorError
from dataset_mirror.origins.sharing import Bucket
from dataset_mirror.rules.counted import counted
from dataset_mirror.settings import Configuration, sharing
from dataset_mirror.store.folder import DataFolder
from dataset_mirror.upkeep.checkup import Finding, check_folder, check_store, check_upstreams, not_there
from dataset_mirror.wire.server import listen

_NEW_CA = "Run: dataset-mirror doctor --new-ca"
_WIDTH = 12


@click.command(name="doctor")
@click.option("--client", is_flag=True, help="Check this machine as a client: its proxy, its trust, one real download.")
@mirror_option("With --client: the mirror's address", "the live server of the data folder")
@click.option("--new-ca", is_flag=True, help="Make a certificate authority with a new key, which every client then has to trust again.")
@click.option("--yes", "-y", is_flag=True, help="With --new-ca: do not ask.")
@click.option("--rebuild", is_flag=True, help="Rebuild a damaged or lost index from archives.ndjson; the old one is set aside.")
@click.option("--json", "as_json", is_flag=True, help="Print the findings as one JSON object.")
@configured
def command(configuration: Configuration, client: bool, mirror: str | None, new_ca: bool, yes: bool, rebuild: bool, as_json: bool) -> None:
    """Check the installation: one finding per line, with a fix. Exits with status 1 if any check fails.

    On the mirror's machine it checks data folder, disk, clock, upstreams, certificate authority and port; with --client, on
    any machine, the way from here to a mirror. --rebuild fixes a damaged or lost index, with no server running: archives and
    their older versions come back, history and log of changes as far as the old index can be read; hits, last uses and the wanted
    list begin afresh.
    """
    configure("error")
    if click.get_current_context().get_parameter_source("mirror") is ParameterSource.COMMANDLINE and not client:
        raise click.UsageError("--mirror goes with --client.")
    if client + new_ca + rebuild > 1:
        raise click.UsageError("--client, --new-ca and --rebuild cannot be combined.")
    if rebuild:
        sys.exit(rebuild_index(configuration))
    if new_ca:
        _renew(configuration, yes=yes)
    elif client:
        address = mirror_address(configuration, mirror)
        _tell(check_client(address, os.environ), as_json=as_json, before_end=lambda: _show_kinds(address))
    else:
        _tell(check_server(configuration), as_json=as_json)


def check_server(configuration: Configuration) -> Iterator[Finding]:
    """All about the mirror of a data folder."""
    folder = list(check_folder(configuration))
    yield from folder
    if folder[0].is_good:
        yield from _store(configuration)
        yield from check_authority(configuration)
    yield _port(configuration)
    yield from asyncio.run(_upstreams(configuration))
    if places := sharing(configuration.settings):
        yield from asyncio.run(_shared(places))


async def _shared(places: tuple[str, Bucket]) -> list[Finding]:
    from dataset_mirror.upkeep.shared import check_shared

    return [finding async for finding in check_shared(places)]


def _store(configuration: Configuration) -> Iterator[Finding]:
    try:
        with store_of(configuration) as store:
            yield from check_store(store)
    except DataFolderError as error:
        yield not_there(error)


async def _upstreams(configuration: Configuration) -> list[Finding]:
    return [finding async for finding in check_upstreams(configuration)]


def check_authority(configuration: Configuration) -> Iterator[Finding]:
    """The certificate authority as it is in its files, which are left as they are."""
    folder, what = DataFolder(configuration.settings.data.absolute()), "authority"
    try:
        key = certificates.key_of_pem(folder.ca_key.read_bytes())
        known = certificates.of_pem(folder.ca.read_bytes())
    except FileNotFoundError:
        yield Finding(what, "There is none yet; the first start makes it.")
        return
    except (OSError, ValueError) as error:
        yield Finding(what, f"It cannot be read: {error}.", f"Fix the permissions of {folder.ca.parent}. {_NEW_CA}")
        return
    yield _of_key(known, key)
    yield _key_permissions(folder.ca_key)
    hosts = CertificateAuthority(folder, lambda: configuration.origins).hosts
    if certificates.named_hosts(known) != hosts:
        yield Finding("hosts", "It does not cover the current origins' hosts.", "Start the mirror, or reload it: it is reissued then.")


def _key_permissions(key: Path) -> Finding:
    mode = stat.S_IMODE(key.stat().st_mode)
    if mode & 0o77:
        return Finding("key", f"Others may read or write its key ({mode:o}).", f"Run: chmod 600 {key}; if others were there: {_NEW_CA[5:]}")
    return Finding("key", f"Only its owner may read its key ({mode:o}).")


def _of_key(known: certificates.Certificate, key: certificates.Key) -> Finding:
    until, now = known.not_valid_after_utc, datetime.now(UTC)
    print_ = f"SHA-256 {certificates.fingerprint(known)}"
    if known.public_key() != key.public_key():
        return Finding("authority", "Its certificate belongs to another key.", "Start the mirror, or reload it: it is reissued then.")
    if not known.not_valid_before_utc <= now <= until:
        return Finding("authority", f"It is valid from {known.not_valid_before_utc:%Y-%m-%d} to {until:%Y-%m-%d}.", "Check the clock.")
    return Finding("authority", f"It is valid until {until:%Y-%m-%d}, {print_}.")


def _port(configuration: Configuration) -> Finding:
    settings = configuration.settings
    try:
        url = live.found(settings)
        if url:
            with live.server(url, None) as client:
                live.check(client.get("/readyz"))
            return Finding("server", f"The mirror answers at {url}.")
        listen(settings.host, settings.port, look_up=not settings.offline).close()
    except MirrorError as error:
        return Finding("server", error.detail, error.hint or "Look at its log.")
    return Finding("server", f"No mirror is running; port {settings.port} of {settings.host} is free.")


def _renew(configuration: Configuration, *, yes: bool) -> None:
    folder = DataFolder(configuration.settings.data.absolute())
    if not folder.exists:
        raise DataFolderError(f"There is no mirror's data in {folder.root}.", "Give its folder: --data DIR.")
    if not yes:
        click.confirm("Every client will have to evaluate /setup.sh again. Make a new certificate authority?", abort=True)
    ca = CertificateAuthority(folder, lambda: configuration.origins)
    ca.renew_key()
    url = live.found(configuration.settings)
    pem = authority_of(url).pem if url else ca.pem  # a server that runs may have other origins, and issues it for these
    click.echo(f"The new certificate authority has SHA-256 {certificates.fingerprint(certificates.of_pem(pem))}")
    click.echo("Evaluate /setup.sh again in every client's shell; until then TLS through this mirror fails there.")


def _show_kinds(address: str) -> None:
    """A table of the kinds of clients that are installed."""
    for kind in kinds_of(address, os.environ):
        if kind.state != "not installed":
            click.echo(f"       {kind.name:24}  {kind.state}")
            if kind.hint:
                click.echo(f"{'':33}→ {kind.hint}")


def _tell(findings: Iterable[Finding], *, as_json: bool, before_end: Callable[[], None] = lambda: None) -> None:
    """Prints each as it comes; ends the command with 0 if all are good, else with 1."""
    told = []
    for finding in findings:
        told.append(finding)
        if not as_json:
            click.echo(f"{'good' if finding.is_good else 'WRONG':5}  {finding.what:{_WIDTH}}  {finding.fact}")
            if not finding.is_good:
                click.echo(f"{'':{_WIDTH + 9}}→ {finding.hint}")
    wrong = sum(not finding.is_good for finding in told)
    if as_json:
        click.echo(json.dumps({"good": not wrong, "findings": [{**asdict(one), "good": one.is_good} for one in told]}, indent=2))
    else:
        before_end()
        click.echo(f"{wrong} of {counted(len(told), 'check')} failed." if wrong else f"All {counted(len(told), 'check')} passed.")
    sys.exit(1 if wrong else 0)
