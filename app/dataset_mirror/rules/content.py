"""Whether the beginning of an answer can be the archive that was asked for, and what its Content-Encoding means."""

import zlib
from collections.abc import Callable

LOOK = 512
"""Bytes at the beginning of a body that are looked at."""

_GZIP, _ZIP, _HDF5 = b"\x1f\x8b", b"PK", b"\x89HDF\r\n\x1a\n"
_MAGIC = {
    ".gz": _GZIP,
    ".tgz": _GZIP,
    ".zip": _ZIP,
    ".npz": _ZIP,
    ".keras": _ZIP,
    ".whl": _ZIP,
    ".h5": _HDF5,
    ".hdf5": _HDF5,
    ".npy": b"\x93NUMPY",
    ".bz2": b"BZh",
    ".xz": b"\xfd7zXZ\x00",
    ".7z": b"7z\xbc\xaf\x27\x1c",
    ".zst": b"\x28\xb5\x2f\xfd",
    ".parquet": b"PAR1",
}
_COMPRESSED = (".gz", ".tgz", ".npz", ".zip")
_PAGES = (".html", ".htm", ".xhtml")
_BEGINNINGS = (b"<!doctype html", b"<html")


def page_instead(name: str, content_type: str | None) -> str | None:
    """Why an answer of this Content-Type cannot be the archive `name`: it is a web page. None if it may be."""
    is_page = (content_type or "").split(";")[0].strip().lower() in ("text/html", "application/xhtml+xml")
    return f"the origin sent a web page ({content_type})" if is_page and not name.lower().endswith(_PAGES) else None


def looks_like_a_page(name: str, beginning: bytes) -> str:
    """Why a file that begins like this is not the archive `name`: it is a web page. Empty if it may be."""
    is_page = beginning.lstrip(b"\xef\xbb\xbf \t\r\n")[:14].lower().startswith(_BEGINNINGS)
    return "it is a web page" if is_page and not name.lower().endswith(_PAGES) else ""


def wrong_magic(name: str, beginning: bytes) -> str | None:
    """Why a body that begins like this cannot be the archive `name`. None if it may be."""
    magic = next((magic for suffix, magic in _MAGIC.items() if name.lower().endswith(suffix)), b"")
    if beginning[: len(magic)] == magic[: len(beginning)]:
        return None
    return f"its first bytes are {beginning[:8]!r}, but a {name[name.rindex('.') :]} file begins with {magic!r}"


def encoding_is_the_file(name: str, beginning: bytes) -> bool:
    """Whether a Content-Encoding only describes the file itself (Apache labels .tar.gz as x-gzip): the wire bytes are kept."""
    return name.lower().endswith(_COMPRESSED) and wrong_magic(name, beginning) is None


def decoder(encoding: str) -> Callable[[], "zlib._Decompress"] | None:
    """Makes a decoder for this Content-Encoding, or None if it is not known (RFC 9110 8.4.1)."""
    if encoding in ("gzip", "x-gzip"):
        return lambda: zlib.decompressobj(wbits=31)
    if encoding == "deflate":
        return lambda: zlib.decompressobj()
    return None
