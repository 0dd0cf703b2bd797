"""`export`: stored archives into a bundle that crosses an air gap."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import click

from dataset_mirror.airgap.bundle.choosing import Scopes, digests, every, incomplete, named, split
from dataset_mirror.airgap.bundle.export import Bundle, Plan, Write, plan
from dataset_mirror.airgap.bundle.stored import Bytes
from dataset_mirror.airgap.lists import entries, read_list
from dataset_mirror.airgap.proposals import proposals
from dataset_mirror.cli.here import shared_of, store_of
from dataset_mirror.cli.logs import configure
from dataset_mirror.cli.options import local_only
from dataset_mirror.cli.steps import Step, View, view
from dataset_mirror.errors import BundleError, MirrorError, UsageError
from dataset_mirror.origins.identity import ArchiveId
from dataset_mirror.origins.typed import as_typed
from dataset_mirror.settings import Configuration
from dataset_mirror.store.durable import replacing, write_all
from dataset_mirror.store.listing import Lister
from dataset_mirror.store.record import Record
from dataset_mirror.store.store import Store


@click.command(name="export")
@click.argument("file", metavar="FILE.tar|-")
@click.argument("names", type=as_typed, nargs=-1, metavar="[NAME|URL|GLOB...]")
@click.option("--wanted", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Export what a list names, one per line.")
@click.option("--all", "all_of_them", is_flag=True, help="Export everything.")
@click.option(
    "--minus", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Leave out bytes whose digests are in this list."
)
@click.option("--versions", is_flag=True, help="Include older versions of each archive.")
@click.option("--private", is_flag=True, help="Include private archives: anyone with the bundle can read them.")
@click.option("--json", "as_json", is_flag=True, help="Print progress as one JSON object per line; on standard error if FILE is -.")
@local_only
def command(
    configuration: Configuration,
    file: str,
    names: tuple[str, ...],
    wanted: Path | None,
    all_of_them: bool,
    minus: Path | None,
    versions: bool,
    private: bool,
    as_json: bool,
) -> None:
    """Write stored archives into a bundle, for dataset-mirror import on the other side of an air gap. If several mirrors share a store,
    what only their bucket has comes from there.

    FILE.tar is a BagIt bag (RFC 8493) in a tar; `-` is standard output. To check it without this program:
    tar xf FILE.tar && cd dataset-mirror-* && sha256sum -c manifest-sha256.txt

    Exits with status 1 if anything that was named is not in it, complete.
    """
    configure("error")
    if sum((bool(names), wanted is not None, all_of_them)) != 1:
        raise UsageError("Nothing selected.", "Give names, --wanted FILE or --all.")
    with store_of(configuration) as store, _all_there_is(configuration, store) as (index, blobs):
        origins = configuration.origins
        missing: list[tuple[str, MirrorError]] = []
        if wanted is not None:
            found, missing = split(index, origins, entries(read_list(str(wanted))))
            names = tuple(found)
        there = digests(minus) if minus else frozenset()
        missing += incomplete(store, origins, names)
        if all_of_them:
            records = every(index, store.index.shared() if there else frozenset(), versions=versions, minus=there)
        else:
            records = named(index, origins, names, versions=versions)
        own = {origin.authority for origin in configuration.settings.origins}
        carried: set[ArchiveId] = set()
        scopes, chosen = Scopes(origins), _noted(_public(records, private=private), own, carried)
        planned = plan(scopes.watched(chosen), there, lambda: scopes.facts(store.index, private=private))
        if index.trouble:
            raise index.trouble
        planned = replace(planned, origins=tuple(one.to_line() for one in proposals(carried, origins)))
        failed = _written(file, planned, blobs, missing, as_json=as_json)
    sys.exit(1 if failed else 0)


@contextmanager
def _all_there_is(configuration: Configuration, store: Store) -> Iterator[tuple[Lister, Bytes]]:
    """What is stored here and, of several mirrors, what only their bucket has."""
    if configuration.settings.shared is None:
        yield store.index, Bytes(store.blobs)
        return
    with shared_of(configuration, store) as shared:
        everywhere = shared.everywhere()
        yield everywhere, Bytes(store.blobs, everywhere.elsewhere.open)


def _noted(records: Iterator[Record], hosts: set[str], carried: set[ArchiveId]) -> Iterator[Record]:
    """The same; `carried` gets those of these hosts, whose origins the other side does not know from a preset."""
    for record in records:
        if record.archive.authority in hosts:
            carried.add(record.archive)
        yield record


def _public(records: Iterator[Record], *, private: bool) -> Iterator[Record]:
    """Without those that only some may read, which is said."""
    left_out = 0
    for record in records:
        if (record.private or record.restricted) and not private:
            left_out += 1
        else:
            yield record
    if left_out:
        click.echo(f"Private archives are left out: {left_out:,}. To include them: --private", err=True)


def _written(file: str, planned: Plan, blobs: Bytes, missing: list[tuple[str, MirrorError]], *, as_json: bool) -> int:
    """Writes the bundle; returns how many archives failed."""
    total = len(planned.payload) + len(missing)
    shown = view(total, as_json=as_json, received=f"in {file}", err=file == "-", size=planned.size)
    with shown:
        for name, error in missing:
            shown.show(Step(name, "failed", error=error, over=True))
        with _output(file) as write:
            _send(Bundle(planned, blobs, write), shown)
    return shown.failed


def _send(bundle: Bundle, shown: View) -> None:
    for payload, error in bundle.send(lambda payload, done: shown.show(Step(payload.url, "writing", done, payload.size))):
        shown.show(Step(payload.url, "failed" if error else "written", payload.size, payload.size, error, over=True))


@contextmanager
def _output(file: str) -> Iterator[Write]:
    """Where the bundle goes: to standard output, or beside FILE, in whose place it is put when it is whole and durable."""
    if file == "-" and (sys.__stdout__ is None or sys.stdout.isatty()):
        where = "Standard output is closed" if sys.__stdout__ is None else "A bundle is not for a terminal"
        raise UsageError(f"{where}.", "Give a file, or a pipe: | dataset-mirror import -")
    try:
        if file == "-":
            yield partial(write_all, sys.stdout.fileno())
        else:
            with replacing(Path(file).absolute(), 0o644 & ~_umask()) as descriptor:
                yield partial(write_all, descriptor)
    except OSError as error:
        raise BundleError(f"The bundle {file} cannot be written: {error.strerror}.", "Give another place, or make room there.") from None


def _umask() -> int:
    old = os.umask(0)
    os.umask(old)
    return old
