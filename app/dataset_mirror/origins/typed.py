"""What people type and paste where an archive is named, in the form in which the mirror knows it.

Spaces, quotes and fragments go, `https:/HOST` gets its slash back, capitals of a host become small, and the address of a page that
shows an archive becomes that of the archive, by a table, pasted.tsv: nothing here knows a host.
"""

import re
from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from urllib.parse import unquote

_INVISIBLE = " \t\r\n\v\f\N{NO-BREAK SPACE}\N{ZERO WIDTH SPACE}\N{ZERO WIDTH NO-BREAK SPACE}"
_QUOTES = {'"': '"', "'": "'", "`": "`", "<": ">", "\N{LEFT DOUBLE QUOTATION MARK}": "\N{RIGHT DOUBLE QUOTATION MARK}"}
_ENCODED = re.compile("%(?:2F|3A)", re.IGNORECASE)
_SCHEME = re.compile(r"/*(https?|ftps?|sftp|gcs|gs|s3|hf):/+", re.IGNORECASE)
_VARIANT = re.compile(r"#(?:post|accept)=[^#]+")
_PLACE = re.compile(r"\{([a-z]+)(\*\*)?\}")
_PASSES = 3


def as_typed(word: str) -> str:
    """The word as it was meant: a name, a URL, or a glob of either. What is none of these stays as it is."""
    word = tidied(word)
    if "://" in word and not _VARIANT.search(word):
        word = word.partition("#")[0]
    for _ in range(_PASSES):
        meant = _shown_by(word)
        if meant == word:
            break
        word = meant
    return word


def tidied(word: str) -> str:
    """The same for words that may come from a program: a URL of a page means that page, and a fragment stays."""
    word = _unquoted(word)
    return _straight(unquote(word).strip(_INVISIBLE) if "/" not in word and _ENCODED.search(word) else word)


def _unquoted(word: str) -> str:
    """Without the spaces and quotes around it, and the comma that stood behind these in a list."""
    word = word.strip(_INVISIBLE)
    while end := _QUOTES.get(word[:1]):
        inner = word[1:].rstrip(",;" + _INVISIBLE)
        if not inner.endswith(end):
            break
        word = inner[:-1].strip(_INVISIBLE)
    return word


def _straight(word: str) -> str:
    """A URL with scheme and host in small letters, two slashes, one before its path; a name without slashes around it."""
    found = _SCHEME.match(word)
    if found is None:
        host, slash, path = word.lstrip("/").partition("/")
        return (host + slash + path.lstrip("/") if "." in host else f"{host}{slash}{path}".rstrip("/")) or word
    scheme, rest = found[1].lower(), word[found.end() :]
    host, slash, path = rest.partition("/")
    return f"{scheme}://{host.lower() if scheme.startswith('http') else host}{slash}{path.lstrip('/')}"


def _shown_by(word: str) -> str:
    """What the page at a URL shows, if it is known as such a page."""
    scheme, mark, rest = word.partition("://")
    url = word if mark and scheme != "http" else f"https://{rest if mark else word}"
    for page, meant in _pages():
        if found := page.fullmatch(url):
            values = found.groupdict() if "://" in meant else {name: unquote(value) for name, value in found.groupdict().items()}
            return _PLACE.sub(lambda place, values=values: values[place[1]], meant) if meant else word  # type: ignore[misc]
    return word


@cache
def _pages() -> list[tuple[re.Pattern[str], str]]:
    lines = (files("dataset_mirror.origins") / "pasted.tsv").read_text(encoding="utf-8").splitlines()
    fields = [line.partition("\t") for line in lines if line and not line.startswith("#")]
    return [(re.compile("".join(_regex(page))), meant) for page, _, meant in fields]


def _regex(page: str) -> Iterator[str]:
    end = 0
    for place in _PLACE.finditer(page):
        yield re.escape(page[end : place.start()])
        yield f"(?P<{place[1]}>{r'[^?#*]+' if place[2] else r'[^/?#*@]+'})"
        end = place.end()
    rest = page[end:]
    yield re.escape(rest.removesuffix("?")) + (r"/?(?:\?.*)?" if rest.endswith("?") else "")
