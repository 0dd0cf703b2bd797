"""What people check: scripts, notebooks, lists, names and URLs, as what they ask for."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from dataset_mirror.airgap.lists import decoded as as_text
from dataset_mirror.airgap.lists import numbered, read_list
from dataset_mirror.airgap.preflight.asks import Part, asks_of
from dataset_mirror.airgap.preflight.notebooks import cells_of
from dataset_mirror.airgap.preflight.python import decoded, parsed
from dataset_mirror.airgap.preflight.recipes import asks_of_recipe, is_recipe
from dataset_mirror.airgap.preflight.shell import of_line
from dataset_mirror.airgap.preflight.subjects import Address, Ask, Unclear, Whole
from dataset_mirror.errors import BadRequest, UsageError
from dataset_mirror.origins.identity import parse_url
from dataset_mirror.origins.meaning import Meaning
from dataset_mirror.origins.names import prefix_of
from dataset_mirror.origins.table import closest
from dataset_mirror.origins.typed import as_typed

MAX_FILE = 256 * 1024 * 1024
"""Longest file that is read, in bytes: notebooks carry their pictures."""
GIVEN = "command line"
"""The place of what a person names."""

Names = Mapping[str, list[str]]


def asks_in(given: str, names: Names) -> list[Ask]:
    """What a script.py, a notebook.ipynb, a script for a shell, a Dockerfile, a Makefile, a list of packages or of archives (`-`: standard
    input), a URL, or a name of a repository or of the catalog asks for.

    UsageError if it is none of them.
    """
    if given == "-":
        return _of_list(read_list(given), "standard input", names)
    if not Path(given).exists():
        given = as_typed(given)
    Meaning(given).check_one()
    if "://" in given:
        return _of_url(given, GIVEN)
    if prefix_of(given):
        return [Ask(GIVEN, Whole(given))]
    suffix = Path(given).suffix.lower()
    if suffix in (".py", ".pyw"):
        return asks_of([Part(parsed(decoded(_read(given), given), f"{given}:{{}}"), f"{given}:{{}}")])
    if suffix == ".ipynb":
        return _of_notebook(given)
    if found := _named(given, names):
        return [Ask(GIVEN, Address(url, certain=True)) for url in found]
    if not Path(given).exists() and Meaning(given).as_url():
        return _of_url(given, GIVEN)
    if not Path(given).exists():
        raise UsageError(f"Neither a file nor an archive in the catalog is named {given!r}.", closest(given, names))
    text = _text(given)
    return asks_of_recipe(given, text) if is_recipe(given, text) else _of_list(text, given, names)


def _of_notebook(name: str) -> list[Ask]:
    cells = cells_of(_text(name), name)
    asks = asks_of(Part(cell.tree, cell.place) for cell in cells)
    for cell in cells:
        if cell.unread:
            asks.append(Ask(cell.place.format(1), Unclear(f"a cell for {cell.unread}, which is not read")))
        asks += [Ask(cell.place.format(line), subject) for line, command in cell.commands.items() for subject in of_line(command)]
    return asks


def _of_list(text: str, name: str, names: Names) -> list[Ask]:
    asks: list[Ask] = []
    for number, entry in numbered(text):
        place = f"{name}:{number}"
        if prefix_of(entry):
            asks.append(Ask(place, Whole(entry)))
        else:
            asks += _of_url(entry, place) if "://" in entry else _of_entry(entry, place, names)
    return asks


def _of_url(url: str, place: str) -> list[Ask]:
    try:
        parse_url(url)
    except BadRequest as error:
        raise UsageError(f"{place}: {error.detail}", error.hint) from None
    return [Ask(place, Address(url, certain=True))]


def _of_entry(entry: str, place: str, names: Names) -> list[Ask]:
    found = _named(entry, names)
    if not found:
        raise UsageError(f"{place}: the catalog has no archive named {entry[:200]!r}.", closest(entry[:200], names))
    return [Ask(place, Address(url, certain=True)) for url in found]


def _named(wanted: str, names: Names) -> list[str]:
    if wanted in names:
        return names[wanted]
    meaning = Meaning(wanted)
    found = [url for name in meaning.names_in(names) for url in names[name]]
    if found or "." not in wanted or Path(wanted).exists():
        return found
    return [url for urls in names.values() for url in urls if meaning.fits_file(url)]


def _text(name: str) -> str:
    try:
        return as_text(_read(name))
    except UnicodeDecodeError:
        raise UsageError(
            f"{name} is not a text in UTF-8.", "A script ends in .py, a notebook in .ipynb, anything else is a list."
        ) from None


def _read(name: str) -> bytes:
    try:
        with Path(name).open("rb") as file:
            content = file.read(MAX_FILE + 1)
    except OSError as error:
        raise UsageError(f"{name} cannot be read: {error.strerror}.", "Check the path.") from None
    if len(content) > MAX_FILE:
        raise UsageError(f"{name} is larger than {MAX_FILE:,} bytes.", "Name the archives in a list instead.")
    return content


def asks_in_all(given: Iterable[str], names: Names) -> list[Ask]:
    """What all of them ask for, in this order."""
    return [ask for each in given for ask in asks_in(each, names)]
