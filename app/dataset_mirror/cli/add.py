"""`add`: allows an archive that no origin lists yet, by a block in mirror.toml."""

import stat
from pathlib import Path
from tempfile import NamedTemporaryFile

import click
import tomlkit
from tomlkit.items import AoT

from dataset_mirror.cli.options import local_only
from dataset_mirror.cli.port import opened
from dataset_mirror.errors import UsageError
from dataset_mirror.origins.identity import ArchiveId, parse_url
from dataset_mirror.origins.table import path_to_list
from dataset_mirror.settings import Configuration, load
from dataset_mirror.store import durable


@click.command(name="add")
@click.argument("url")
@click.option("--exact", is_flag=True, help="Allow only this path, not its whole folder.")
@local_only
def command(configuration: Configuration, url: str, exact: bool) -> None:
    """Allow an archive that no origin lists yet: adds its folder to mirror.toml, keeping the comments there.

    A running server reloads it at once.
    """
    archive, scheme = parse_url(url), "http" if url.startswith("http://") else "https"
    origin = configuration.origins.get(archive.authority)
    if origin and origin.lists(archive.path):
        click.echo(f"{origin.url_of(archive)} is already allowed.")
        return
    path = archive.path if exact else path_to_list(archive)
    _write(configuration.file, origin.scheme if origin else scheme, archive, path)
    click.echo(f"Added {path} of {archive.authority} to {configuration.file}.")
    _tell(configuration)


def _write(file: Path, scheme: str, archive: ArchiveId, path: str) -> None:
    """Adds the path to the origin's block, or a block; the file is replaced as a whole, and only if the result is right."""
    before = file.read_text(encoding="utf-8") if file.exists() else ""
    document = tomlkit.parse(before)
    blocks = document.setdefault("origins", tomlkit.aot())
    if not isinstance(blocks, AoT):
        raise UsageError(f"{file} has `origins` in another form than [[origins]] blocks.", "Add it there by hand.")
    known = next((block for block in blocks if parse_url(str(block["url"])).authority == archive.authority), None)
    if known is None:
        known = tomlkit.table()
        known["url"] = f"{scheme}://{archive.authority}"
        known["paths"] = []
        known.trivia.indent = "\n" if before else ""  # an empty line above the block
        blocks.append(known)
    known.setdefault("paths", []).append(path)
    file.parent.mkdir(parents=True, exist_ok=True)
    content = tomlkit.dumps(document).encode()
    with NamedTemporaryFile(dir=file.parent, prefix=f".{file.name}.", suffix=".toml") as tried:
        durable.write_all(tried.fileno(), content)
        load(Path(tried.name))
    durable.replace(file, content, stat.S_IMODE(file.stat().st_mode) if file.exists() else durable.FILE)


def _tell(configuration: Configuration) -> None:
    with opened(configuration, None) as port:
        port.reload()
        if port.url:
            click.echo(f"The mirror at {port.url} has reloaded it.")
