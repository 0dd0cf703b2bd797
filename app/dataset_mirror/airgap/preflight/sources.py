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
from dataset_mirror.origins.typed import as_typed
from dataset_mirror.origins.unknown import among_stored, closest

MAX_FILE = 256 * 1024 * 1024
"""Longest file that is read, in bytes: notebooks carry their pictures."""
GIVEN = "command line"
"""The place of what a person names."""

_PYTHON, _NOTEBOOK = (".py", ".pyw"), ".ipynb"

Names = Mapping[str, list[str]]


def asks_in(given: str, names: Names) -> list[Ask]:
    """What a script.py, a notebook.ipynb, a script for a shell, a Dockerfile, a Makefile, a list of packages or of archives (`-`: standard
    input), a URL, or a name of a repository or of the catalog asks for.

    UsageError if it is none of them.
    """
    if given == "-":
        return _of_list(read_list(given), "standard input", names)
    is_file = Path(given).exists()
    given = given if is_file else as_typed(given)
    if "://" not in given and given not in names and (is_file or Path(given).suffix.lower() in (*_PYTHON, _NOTEBOOK)):
        return _of_file(given, names)
    asks = _of_entry(given, GIVEN, names)
    if not asks:
        raise UsageError(f"Neither a file nor an archive in the catalog is named {given!r}.", closest(given, names) + among_stored(given))
    return asks


def _of_file(name: str, names: Names) -> list[Ask]:
    suffix = Path(name).suffix.lower()
    if suffix in _PYTHON:
        return asks_of([Part(parsed(decoded(_read(name), name), f"{name}:{{}}"), f"{name}:{{}}")])
    if suffix == _NOTEBOOK:
        return _of_notebook(name)
    text = _text(name)
    return asks_of_recipe(name, text) if is_recipe(name, text) else _of_list(text, name, names)


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
        found = _of_entry(entry, f"{name}:{number}", names)
        if not found:
            raise UsageError(f"{name}:{number}: the catalog has no archive named {entry[:200]!r}.", closest(entry[:200], names))
        asks += found
    return asks


def _of_entry(entry: str, place: str, names: Names) -> list[Ask]:
    """What a name, a URL, a glob of names, or a file's name means; nothing if it is none of these."""
    meaning = Meaning(entry)
    meaning.check_one()
    if prefix_of(entry):
        return [Ask(place, Whole(entry))]
    urls = [url for name in ([entry] if entry in names else meaning.names_in(names)) for url in names[name]]
    if not urls and meaning.is_file:
        urls = [url for found in names.values() for url in found if meaning.fits_file(url)]
    try:
        if not urls and ("://" in entry or meaning.as_url()):
            parse_url(entry)
            known = (url for found in names.values() for url in found if url.partition("://")[2] == entry)
            urls = [entry if "://" in entry else next(known, f"https://{entry}")]
    except BadRequest as error:
        raise UsageError(f"{place}: {error.detail}", error.hint) from None
    return [Ask(place, Address(url, certain=True)) for url in urls]


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
