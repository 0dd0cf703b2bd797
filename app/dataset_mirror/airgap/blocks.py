"""Blocks of origins in mirror.toml: written for commands and the API, with everything else in the file left as it is."""

import stat
from collections.abc import Iterable
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


def allow(file: Path, *blocks: Proposal) -> None:
    """Adds to each origin's block, or a block; the file is replaced as a whole, and only if that is right and counts (UsageError)."""
    before = file.read_text(encoding="utf-8") if file.exists() else ""
    document = tomlkit.parse(before)
    for block in blocks:
        _put(file, document, block)
    file.parent.mkdir(parents=True, exist_ok=True)
    content = tomlkit.dumps(document).encode()
    with NamedTemporaryFile(dir=file.parent, prefix=f".{file.name}.", suffix=".toml") as tried:
        durable.write_all(tried.fileno(), content)
        _check(load(Path(tried.name)).settings.origins, file, blocks)
    durable.replace(file, content, stat.S_IMODE(file.stat().st_mode) if file.exists() else durable.FILE)


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
