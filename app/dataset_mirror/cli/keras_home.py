"""`keras-home`: a folder in which Keras finds its archives, without any network."""

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import click
import httpx

from dataset_mirror.airgap.files.copying import STEP, Copying
from dataset_mirror.airgap.files.keras_folder import Blobs, KerasFolder, Put, Source, advice
from dataset_mirror.airgap.files.keras_home import KerasFile, KerasHome, lacking, plan
from dataset_mirror.cli import live
from dataset_mirror.cli.here import store_of
from dataset_mirror.cli.logs import configure
from dataset_mirror.cli.options import configured, mirror_option, mirror_url
from dataset_mirror.cli.steps import Step, paced, view
from dataset_mirror.errors import NoSuchPage, OriginUnreachable, UsageError
from dataset_mirror.origins.typed import as_typed
from dataset_mirror.settings import Configuration


@click.command(name="keras-home")
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path, file_okay=False))
@click.argument("names", type=as_typed, nargs=-1, metavar="[NAME|URL|GLOB...]")
@mirror_option("Take them from this mirror, over HTTP", "the data folder here")
@click.option("--json", "as_json", is_flag=True, help="Print progress as one JSON object per line.")
@configured
def command(configuration: Configuration, folder: Path, names: tuple[str, ...], mirror: str | None, as_json: bool) -> None:
    """Fill DIR so that Keras with KERAS_HOME=DIR finds its archives and needs no network; ~/.keras is where all versions look.

    NAME is a catalog name, with or without keras/ (mnist, applications/resnet50); a GLOB selects what is stored of it; default:
    everything. Writes both layouts (before Keras 3.6, and later) and keeps the archives. Files are copies, sharing blocks with
    the data folder where the disk can; the layouts are hard links to each other. A file that is already right stays as it is;
    one that the catalog's digest proves wrong is set aside. Exits with status 1 if anything is missing in the end.
    """
    configure("error")
    target = KerasFolder(folder.expanduser().absolute())
    with _over_http(mirror, names) if mirror else _from_here(configuration, names) as (home, source):
        if not home.missing:
            home.whole()
        failed = _fill(target, home, source, as_json=as_json)
    notes = [f"{one.url} ({one.name}) is left out: another one that you named has its place." for one in home.displaced]
    for note in notes + target.notes + advice(target.root, dict(os.environ)):
        click.echo(note, err=True)
    sys.exit(1 if failed else 0)


def _fill(target: KerasFolder, home: KerasHome, source: Source, *, as_json: bool) -> int:
    shown = view(len(home.files) + len(home.missing), as_json=as_json)
    with shown:
        for one in home.missing:
            shown.show(Step(one.url, "missing", error=lacking([one]), over=True))
        for file in home.files:
            for step in paced(_step(put) for put in target.put(file, source)):
                shown.show(step)
    return shown.failed


def _step(put: Put) -> Step:
    return Step(put.file.url, put.state, put.done, put.file.size, put.error, put.over)


@contextmanager
def _from_here(configuration: Configuration, names: Sequence[str]) -> Iterator[tuple[KerasHome, Source]]:
    with store_of(configuration) as store:
        try:
            home = plan(store, configuration.origins, names, lambda archive, _: configuration.origins.of(archive))
        except NoSuchPage as error:
            raise UsageError(error.detail, error.hint) from None
        yield home, Blobs(store)


@contextmanager
def _over_http(url: str, names: Sequence[str]) -> Iterator[tuple[KerasHome, Source]]:
    base = mirror_url(url if "://" in url else f"http://{url}")
    with live.server(base, None) as client:
        yield _planned(client, names), _OverHttp(client)


def _planned(client: httpx.Client, names: Sequence[str]) -> KerasHome:
    response = client.get("/status/keras-home", params={"only": list(names)})
    try:
        live.check(response)
        return KerasHome.model_validate_json(response.content)
    except live.ServerSaysNo as error:
        if response.status_code != 404 or error.is_foreign:
            raise
        raise UsageError(error.detail, error.hint) from None
    except ValueError:
        raise live.no_mirror(response) from None


class _OverHttp:
    """Another mirror as the source of bytes."""

    def __init__(self, client: httpx.Client) -> None:
        self._client = client

    def copy(self, file: KerasFile, into: Copying) -> Iterator[int]:
        try:
            with self._client.stream("GET", f"/{file.archive}", headers={"accept-encoding": "identity"}) as response:
                live.check(response)
                for data in response.iter_raw(STEP):
                    into.add(data)
                    yield into.done
        except httpx.HTTPError as error:
            raise OriginUnreachable(f"The mirror broke off: {error}.", "Run this again; what has arrived is kept.") from None
