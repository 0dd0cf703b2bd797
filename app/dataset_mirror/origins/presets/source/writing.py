"""How presets are written: the lists of a package become origins in TOML and, if they are long, a sorted file of archives.

Each script here has a list of facts (URLs, sizes, digests) from a package; none imports the package or copies its code.

    python -m dataset_mirror.origins.presets.source.NAME --from WHEEL    write the preset from a wheel, or the installed package
    python -m dataset_mirror.origins.presets.source.NAME --check         exit with 1 if it differs from what would be written
"""

import argparse
import json
import sys
import zipfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

from dataset_mirror.origins.identity import ArchiveId, parse_url
from dataset_mirror.origins.model import Origin

PRESETS = Path(__file__).parent.parent
WIDTH = 120
MAX_FOLDERS = 40
"""Most entries in the `paths` of one origin, before shorter folders take their place."""
GITHUB_FILES = ("codeload.github.com", "objects.githubusercontent.com", "raw.githubusercontent.com", "release-assets.githubusercontent.com")
REDIRECTS: dict[str, tuple[str, ...]] = {
    "data.mendeley.com": ("prod-dcd-datasets-public-files-eu-west-1.s3.eu-west-1.amazonaws.com",),
    "dataverse.harvard.edu": ("dvn-cloud.s3.amazonaws.com",),
    "drive.google.com": ("drive.usercontent.google.com",),
    "github.com": GITHUB_FILES,
    "huggingface.co": ("*.hf.co", "*.huggingface.co"),
    "ndownloader.figshare.com": ("s3-eu-west-1.amazonaws.com",),
}
"""Where the hosts that are no single project's keep their files."""

Folder = Path | zipfile.Path
Block = dict[str, object]


@dataclass(frozen=True, slots=True)
class Row:
    """One archive under one name; `size` in bytes."""

    url: str
    name: str
    size: int | None = None
    sha256: str = ""
    md5: str = ""

    @property
    def key(self) -> str:
        return str(parse_url(self.url))

    def line(self) -> str:
        return "\t".join([self.key, self.name, "" if self.size is None else str(self.size), self.sha256, self.md5])


@dataclass(frozen=True, slots=True)
class Loads:
    """What a call of a function asks for: archives by name or URL, if `when` holds of its arguments."""

    function: str
    parameters: str
    """As a call may give them, with defaults: `root,train=True`."""
    when: str
    archives: Sequence[str]

    def line(self) -> str:
        return "\t".join([self.function, self.parameters, self.when, " ".join(self.archives) or "-"])


@dataclass(frozen=True, slots=True)
class Made:
    """A preset: what it is for, what to know of it, its archives, and what its origins have besides `paths` of these."""

    about: str
    note: str
    rows: Sequence[Row]
    more: Sequence[Origin] = ()
    rules: dict[str, list[Block]] = field(default_factory=dict)
    """Rules by authority."""
    loads: Sequence[Loads] = ()
    script: str = ""
    """The script, where it is not called like the preset."""


def preset_files(name: str, made: Made) -> dict[str, str]:
    """The files of a preset: its TOML, the file of its archives, and what calls ask for."""
    made_by = f"# Made by app/dataset_mirror/origins/presets/source/{made.script or name}.py. Do not edit: change that and run it.\n"
    head = [f"about = {json.dumps(made.about)}", f"note = {json.dumps(made.note)}", f'catalog = "{name}.tsv"']
    blocks = [line for origin in _all_origins(made) for line in _origin(origin, made.rules.get(origin.authority, []))]
    lines = sorted({row.line() for row in made.rows}, key=lambda line: line.partition("\t")[0].encode() + b"\t" + line.encode())
    loads = {f"loaders/{name}.tsv": made_by + "\n".join(one.line() for one in made.loads) + "\n"} if made.loads else {}
    return loads | {f"{name}.toml": made_by + "\n".join([*head, *blocks]) + "\n", f"{name}.tsv": made_by + "\n".join(lines) + "\n"}


def _all_origins(made: Made) -> list[Origin]:
    more = {origin.authority: origin for origin in made.more}
    found = {origin.authority: origin for origin in origins_of(made.rows)}
    return [
        found[authority].extended_by(more[authority])
        if authority in found and authority in more
        else more.get(authority) or found[authority]
        for authority in sorted({*more, *found})
    ]


def origins_of(rows: Iterable[Row]) -> list[Origin]:
    """The origins of the archives, each with the folders that they lie in. A host is https unless all its URLs are http."""
    schemes: dict[str, set[str]] = {}
    archives: dict[str, list[ArchiveId]] = {}
    for row in rows:
        archive = parse_url(row.url)
        schemes.setdefault(archive.authority, set()).add(row.url.partition(":")[0])
        archives.setdefault(archive.authority, []).append(archive)
    return [
        Origin(
            url=f"{max(schemes[host])}://{host}",
            paths=tuple(folders([archive.path for archive in archives[host]])),
            redirects_to=REDIRECTS.get(host, ()),
        )
        for host in sorted(archives)
    ]


def folders(paths: Sequence[str]) -> list[str]:
    """What to list so that all paths are: their folders, or shorter ones if these are too many; in the root the paths themselves."""
    unique = sorted(set(paths))
    depth = max(path.count("/") for path in unique) - 1
    while depth > 1 and len({_folder(path, depth) for path in unique}) > MAX_FOLDERS:
        depth -= 1
    found = sorted({_folder(path, depth) for path in unique})
    if len(found) > 4 * MAX_FOLDERS:
        return ["/"]
    return [one for one in found if not any(one != other and other.endswith("/") and one.startswith(other) for other in found)]


def _folder(path: str, depth: int) -> str:
    """The folder of a path, at most so many segments deep; of one in the root the path itself."""
    segments = path.split("/")[1:-1][:depth]
    return f"/{'/'.join(segments)}/" if segments else path


def _origin(origin: Origin, rules: Sequence[Block]) -> Iterator[str]:
    yield "\n[[origins]]"
    yield from _keys(origin.model_dump(mode="json", exclude_defaults=True, exclude={"rules"}))
    for rule in rules:
        yield "\n[[origins.rules]]"
        yield from _keys(rule)


def _keys(block: Block) -> Iterator[str]:
    """JSON writes our values as TOML does."""
    for key, value in block.items():
        long = isinstance(value, list | tuple) and len(json.dumps(value)) > WIDTH
        yield f"{key} = {json.dumps(value, indent=4 if long else None)}"


def package(name: str, wheel: Path | None) -> Folder | None:
    """The files of a package: in a wheel, or of the installed one, which is not imported; None if there is none."""
    if wheel is not None:
        return zipfile.Path(zipfile.ZipFile(wheel), f"{name}/")
    spec = find_spec(name)
    return Path(spec.origin).parent if spec and spec.origin else None


def files_below(folder: Folder) -> Iterator[Folder]:
    """All files, in the order of their names."""
    items: list[Folder] = [*folder.iterdir()]
    for item in sorted(items, key=lambda each: each.name):
        if item.is_dir():
            yield from files_below(item)
        else:
            yield item


def run(name: str, make: Callable[[Path | None], Made | None], arguments: Sequence[str] | None = None, folder: Path = PRESETS) -> int:
    """Write the preset, or with `--check` only compare; the exit status. `make` gives None if its package is not there."""
    parser = argparse.ArgumentParser(description=f"Make the preset {name}.")
    parser.add_argument("--from", dest="wheel", type=Path, help="the package's wheel; else the installed package")
    parser.add_argument("--check", action="store_true", help="write nothing; exit with 1 if the preset is not up to date")
    given = parser.parse_args(arguments)
    made = make(given.wheel)
    if made is None:
        sys.stderr.write(f"{name}: skipped, for its package is not installed; give its wheel with --from\n")
        return 0 if given.check else 1
    status = 0
    for file, text in preset_files(name, made).items():
        if not given.check:
            (folder / file).write_text(text, encoding="utf-8")
        elif not (folder / file).is_file() or (folder / file).read_text(encoding="utf-8") != text:
            sys.stderr.write(
                f"{file} is not what its script makes: run python -m dataset_mirror.origins.presets.source.{made.script or name}\n"
            )
            status = 1
    return status
