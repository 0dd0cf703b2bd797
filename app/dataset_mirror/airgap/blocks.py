"""Blocks of origins in mirror.toml: written for commands and the API, with everything else in the file left as it is."""

import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import NamedTemporaryFile

import tomlkit
from tomlkit.items import AoT

from dataset_mirror.airgap.proposals import Proposal
from dataset_mirror.errors import UsageError
from dataset_mirror.origins.identity import parse_url
from dataset_mirror.origins.model import Origin
from dataset_mirror.settings import ENV_PREFIX, load
from dataset_mirror.store import durable
from dataset_mirror.store.locks import hold


def allow(file: Path, *blocks: Proposal) -> None:
    """Adds to each origin's block, or a block; the file is replaced as a whole, and only if that is right and counts.

    UsageError if not, or if it cannot be written. Who else adds something waits for its turn. Blocks.
    """
    target = Path(os.path.realpath(file))  # a link stays one
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with _alone(target.parent):
            _allow(file, target, blocks)
    except OSError as error:
        lines = " ".join(block.to_line() for block in blocks)
        raise UsageError(f"{file} cannot be written: {error.strerror}.", f"Write there by hand: {lines}") from None


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Others who change something in the folder wait; not where folders cannot be locked, as on NFS."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with suppress(OSError):
            hold(descriptor)
        yield
    finally:
        os.close(descriptor)


def _allow(file: Path, target: Path, blocks: Sequence[Proposal]) -> None:
    document = tomlkit.parse(target.read_text(encoding="utf-8") if target.exists() else "")
    for block in blocks:
        _put(file, document, block)
    content = tomlkit.dumps(document).encode()
    with NamedTemporaryFile(dir=target.parent, prefix=f".{file.name}.", suffix=".toml") as tried:
        durable.write_all(tried.fileno(), content)
        _check(load(Path(tried.name)).settings.origins, file, blocks)
    durable.replace(target, content, stat.S_IMODE(target.stat().st_mode) if target.exists() else durable.FILE)


def _check(origins: Iterable[Origin], file: Path, blocks: Iterable[Proposal]) -> None:
    """UsageError if what was added does not count, since other origins than the file's do."""
    known = {(origin.authority, path) for origin in origins for path in origin.paths}
    for block in blocks:
        authority = parse_url(block.url).authority
        if any((authority, path) not in known for path in block.paths):
            variable = f"{ENV_PREFIX}ORIGINS"
            raise UsageError(
                f"Nothing was added to {file}: {variable} is set in the environment, and counts instead of the file's origins.",
                f"Unset it and repeat this, or add there: {block.to_line()}",
            )


def _put(file: Path, document: tomlkit.TOMLDocument, block: Proposal) -> None:
    known = document.setdefault("origins", tomlkit.aot())
    if not isinstance(known, AoT):
        raise UsageError(f"{file} has `origins` in another form than [[origins]] blocks.", "Add it there by hand.")
    authority = parse_url(block.url).authority
    table = next((one for one in known if parse_url(str(one["url"])).authority == authority), None)
    if table is None:
        table = tomlkit.table()
        table["url"] = block.url
        table["paths"] = []
        table.trivia.indent = "\n" if document.as_string().strip() else ""  # an empty line above the block
        known.append(table)
    for key, values in (("paths", block.paths), ("redirects_to", block.redirects_to)):
        for value in values:
            if value not in table.setdefault(key, []):
                table[key].append(value)
