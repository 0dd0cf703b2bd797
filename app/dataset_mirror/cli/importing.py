"""`import`: bundles from the other side of an air gap into the mirror."""

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from dataset_mirror.airgap.blocks import allow as allow_in
from dataset_mirror.airgap.bundle import tarred, unpacked
from dataset_mirror.airgap.bundle.bag import DECLARATION
from dataset_mirror.airgap.bundle.importing import Import
from dataset_mirror.airgap.bundle.judging import LineJudge
from dataset_mirror.airgap.bundle.member import Member
from dataset_mirror.airgap.bundle.publishing import Taken
from dataset_mirror.airgap.lists import is_listed
from dataset_mirror.airgap.proposals import Proposal, needed, to_allow
from dataset_mirror.cli.here import store_of
from dataset_mirror.cli.logs import configure
from dataset_mirror.cli.options import local_only
from dataset_mirror.cli.port import opened
from dataset_mirror.cli.steps import Step, View, view
from dataset_mirror.errors import BundleError, MirrorError, NotAllowed, UsageError
from dataset_mirror.origins.identity import ArchiveId, parse_url
from dataset_mirror.origins.table import Origins
from dataset_mirror.rules.counted import counted
from dataset_mirror.settings import Configuration


@click.command(name="import")
@click.argument("bundles", nargs=-1, required=True, metavar="FILE.tar|DIR|-...")
@click.option("--any-origin", is_flag=True, help="Also take archives of origins that are not listed here.")
@click.option("--allow", multiple=True, metavar="HOST", help="Take what there is of this host, and allow it in mirror.toml.")
@click.option("--json", "as_json", is_flag=True, help="Print progress as one JSON object per line.")
@local_only
def command(configuration: Configuration, bundles: tuple[str, ...], any_origin: bool, allow: tuple[str, ...], as_json: bool) -> None:
    """Take bundles of dataset-mirror export into the mirror, beside a live server or without one.

    A bundle is a tar, its unpacked folder, or `-` for standard input; another DIR means all bundles in it. Each archive is
    verified, and available as soon as it is reported; damaged ones are skipped. Bundles can be imported in any order,
    repeatedly, and after an interruption. Exits with status 1 if any archive did not arrive.

    Archives of hosts that no origin lists here are named by host, and the others are taken. --allow HOST takes them, and writes the
    origin into mirror.toml that the bundle proposes; hosts that it redirects to have to be allowed, too.
    """
    configure("error")
    sources = [source for bundle in bundles for source in bundles_in(bundle)]
    shown = view(None, as_json=as_json, size=_size(sources))
    judge = LineJudge(configuration.origins, any_origin, time.time(), frozenset(allow))
    unlisted = Unlisted(configuration.origins, shown, as_json=as_json)
    with store_of(configuration, new=True) as store, shown:
        store.clear_incoming()
        for source in sources:
            one = Import(store, judge, lambda record, done: shown.show(Step(record.url, "importing", done, record.size)))
            try:
                _take(one, source, unlisted)
            except MirrorError as error:
                shown.show(Step(source, "failed", error=error, over=True))
            unlisted.proposed += one.proposed()
        unlisted.tell()
    _allow(configuration, unlisted, allow)
    sys.exit(1 if shown.failed else 0)


def bundles_in(bundle: str) -> list[str]:
    """The bundles that an argument means; UsageError if there are none."""
    if bundle == "-":
        if sys.stdin.isatty():
            raise UsageError("A bundle does not come from a terminal.", "Give a file, or a pipe: dataset-mirror export - … |")
        return [bundle]
    path = Path(bundle)
    if not path.exists():
        raise UsageError(f"There is no bundle {bundle}.", "Give a file or folder of dataset-mirror export, or - for standard input.")
    if not path.is_dir() or _is_unpacked(path):
        return [bundle]
    found = [str(each) for each in sorted(path.iterdir()) if each.suffix == ".tar" or _is_unpacked(each)]
    if not found:
        raise UsageError(f"There is no bundle in {bundle}.", f"A bundle is a .tar, or a folder with {DECLARATION}.")
    return found


def _is_unpacked(folder: Path) -> bool:
    """Not if nobody may look into it: a disk has its `lost+found`."""
    try:
        return (folder / DECLARATION).is_file()
    except OSError:
        return False


def _size(sources: list[str]) -> int | None:
    """Bytes of all bundles; None if that is not known."""
    sizes = [Path(source).stat().st_size for source in sources if Path(source).is_file()]
    return sum(sizes) if len(sizes) == len(sources) else None


class Unlisted:
    """What came of hosts that no origin lists: refused ones are told together, by host; taken ones are to be listed."""

    def __init__(self, origins: Origins, shown: View, *, as_json: bool) -> None:
        self._origins, self._shown, self._as_json = origins, shown, as_json
        self._refused: dict[str, int] = {}
        self.taken: list[ArchiveId] = []
        self.proposed: list[Proposal] = []

    def show(self, taken: Taken) -> None:
        is_archive = "://" in taken.what
        if is_archive and isinstance(taken.error, NotAllowed) and not self._as_json:
            host = parse_url(taken.what).authority
            self._refused[host] = self._refused.get(host, 0) + 1
            return
        if taken.state != "failed" and not is_listed(self._origins, archive := parse_url(taken.what)):
            self.taken.append(archive)
        self._shown.show(Step(taken.what, taken.state, taken.size, taken.size, taken.error, over=True))

    def tell(self) -> None:
        for host, count in self._refused.items():
            options = " ".join(f"--allow {one}" for one in to_allow(host, self.proposed))
            detail = f"{counted(count, 'archive')}, which no origin lists here."
            error = NotAllowed(detail, f"To take them, and to allow the host: dataset-mirror import {options} BUNDLE")
            self._shown.show(Step(host, "failed", error=error, over=True))


def _allow(configuration: Configuration, unlisted: Unlisted, allowed: tuple[str, ...]) -> None:
    """Writes the origins of what was taken into mirror.toml, and lets a live server know."""
    blocks = needed(unlisted.taken, configuration.origins, unlisted.proposed, allowed)
    if not blocks:
        return
    allow_in(configuration.file, *blocks)
    with opened(configuration, None) as port:
        port.reload()
    click.echo(f"Allowed in {configuration.file}: {', '.join(block.host for block in blocks)}.", err=True)


def _take(one: Import, source: str, shown: Unlisted) -> None:
    if source != "-" and Path(source).is_dir():
        _show(one, unpacked.members(Path(source), one.payload), shown)
        return
    with _opened(source) as descriptor:
        _show(one, tarred.members(descriptor), shown)


def _show(one: Import, members: Iterator[Member], shown: Unlisted) -> None:
    for taken in one.take(members):
        shown.show(taken)


@contextmanager
def _opened(source: str) -> Iterator[int]:
    if source == "-":
        yield sys.stdin.fileno()
        return
    try:
        descriptor = os.open(source, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise BundleError(f"{source} cannot be opened: {error.strerror}.", "Look at its permissions.") from None
    try:
        yield descriptor
    finally:
        os.close(descriptor)
