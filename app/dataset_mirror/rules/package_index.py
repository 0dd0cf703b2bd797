"""What the index of Python packages says of a file: its digest (PEP 503, PEP 691), and that of its metadata (PEP 658)."""

import json
import re
from collections.abc import Iterator, Mapping
from html.parser import HTMLParser
from urllib.parse import urldefrag, urljoin

_HEX = re.compile(r"[0-9a-f]{64}")
_ANCHOR = re.compile(r"<a\b[^>]*>", re.IGNORECASE)
_METADATA = ".metadata"
_OF_METADATA = ("core-metadata", "data-core-metadata", "dist-info-metadata", "data-dist-info-metadata")
_SOURCE = re.compile(r"\.(?:tar\.(?:gz|bz2|xz|Z)|tgz|zip)$", re.IGNORECASE)


def project_of(file: str) -> str:
    """The normalised name of the project that a wheel or a source distribution is of, by its file name (PEP 427, PEP 503, PEP 625)."""
    file = file.removesuffix(_METADATA)
    name = file.rpartition("-")[0] if _SOURCE.search(file) else file.partition("-")[0]
    return re.sub(r"[-_.]+", "-", name).lower()


def digest_in_index(page: bytes, page_url: str, url: str) -> str | None:
    """The SHA-256 (hex) that an index page, HTML or JSON, has for the file at `url`; None if it has none. Never raises."""
    file_url, is_metadata = (url.removesuffix(_METADATA), True) if url.endswith(_METADATA) else (url, False)
    text = page.decode("utf-8", "replace")
    name = file_url.rpartition("/")[2]
    links = _of_json(text) if text.lstrip().startswith("{") else _of_html(text, name)
    for link, said in links:
        try:
            target, fragment = urldefrag(urljoin(page_url, link))
        except ValueError:  # no URL
            continue
        if target != file_url:
            continue
        given = _metadata(said) if is_metadata else said.get("sha256", "") or fragment.partition("sha256=")[2].partition("&")[0]
        if isinstance(given, str) and _HEX.fullmatch(given.lower()):
            return given.lower()
    return None


def _metadata(said: Mapping[str, object]) -> object:
    for key in _OF_METADATA:
        value = said.get(key)
        if isinstance(value, Mapping):
            return value.get("sha256")
        if isinstance(value, str) and value.startswith("sha256="):
            return value.removeprefix("sha256=")
    return None


def _of_json(text: str) -> Iterator[tuple[str, Mapping[str, object]]]:
    try:
        files = json.loads(text).get("files")
    except (ValueError, RecursionError, AttributeError):
        return
    for file in files if isinstance(files, list) else ():
        if isinstance(file, Mapping) and isinstance(file.get("url"), str):
            hashes = file.get("hashes")
            yield file["url"], {**file, "sha256": hashes.get("sha256") if isinstance(hashes, Mapping) else None}


def _of_html(text: str, name: str) -> Iterator[tuple[str, Mapping[str, object]]]:
    """Only the links that have the file's name: pages of some projects are megabytes."""
    for anchor in _ANCHOR.finditer(text):
        if name in anchor[0]:
            given = _attributes(anchor[0])
            yield given.get("href", ""), given


def _attributes(tag: str) -> dict[str, str]:
    found: dict[str, str] = {}

    class Reader(HTMLParser):
        def handle_starttag(self, _: str, attrs: list[tuple[str, str | None]]) -> None:
            found.update({name: value or "" for name, value in attrs})

    Reader().feed(tag)
    return found
