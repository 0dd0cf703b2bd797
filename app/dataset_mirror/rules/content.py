"""Whether the beginning of an answer can be the archive that was asked for: a guard against error pages.

It is for archives of which no digest and no size is known beforehand, and refuses only what cannot be right: a page or an error
message in the place of data, or a beginning that no file of that type has. What a label says counts less than the bytes.
"""

import re

LOOK = 8192 + 8
"""Bytes at the beginning of a body that are looked at: an HDF5 file may begin with a block of its user's."""

_GZIP, _ZIP, _HDF5, _NUMPY = b"\x1f\x8b", b"PK", b"\x89HDF\r\n\x1a\n", b"\x93NUMPY"
_STUBS = (b"MZ", b"\x7fELF", b"#!", b"\xcf\xfa\xed\xfe", b"\xca\xfe\xba\xbe")
"""Programs that unpack the ZIP behind them."""
_SKIPPABLE = tuple(bytes([0x50 + number]) + b"\x2a\x4d\x18" for number in range(16))
"""Frames of any content that may stand before those of Zstandard and LZ4 (RFC 8878 3.1.2)."""
_ZSTD = (b"\x28\xb5\x2f\xfd", *_SKIPPABLE, *(bytes([0x22 + number]) + b"\xb5\x2f\xfd" for number in range(6)))
_LZ4 = (b"\x04\x22\x4d\x18", b"\x02\x21\x4c\x18", *_SKIPPABLE)
_BEGINNINGS: dict[str, tuple[bytes, ...]] = {
    ".gz": (_GZIP,),
    ".tgz": (_GZIP,),
    ".z": (b"\x1f\x9d", b"\x1f\xa0", _GZIP),
    ".zip": (_ZIP, *_STUBS),
    ".npz": (_ZIP, _NUMPY),  # numpy.load goes by the bytes, too
    ".keras": (_ZIP, _HDF5),  # HDF5 before Keras 3
    ".whl": (_ZIP,),
    ".h5": (_HDF5,),
    ".hdf5": (_HDF5,),
    ".npy": (_NUMPY, _ZIP),
    ".bz2": (b"BZh",),
    ".xz": (b"\xfd7zXZ\x00",),
    ".7z": (b"7z\xbc\xaf\x27\x1c", *_STUBS),
    ".rar": (b"Rar!\x1a\x07", *_STUBS),
    ".zst": _ZSTD,
    ".lz4": _LZ4,
    ".parquet": (b"PAR1", b"PARE"),
    ".avro": (b"Obj\x01",),
    ".orc": (b"ORC",),
    ".gguf": (b"GGUF",),
}
_USER_BLOCKS = (512, 1024, 2048, 4096, 8192)
"""Where else the signature of HDF5 is looked for: at powers of two (HDF5 File Format Specification II.A)."""
_PAGES = (".html", ".htm", ".xhtml")
_MARKUP = (*_PAGES, ".xml")
_PAGE_TYPES = ("text/html", "application/xhtml+xml")
_BEFORE_MARKUP = r"\ufeff?\s*+(?:<\?xml[^>]*+>\s*+|<!--(?>.*?-->)\s*+)*+"  # never tried in another way: comments are many
_PAGE = re.compile(_BEFORE_MARKUP + r"<(?:!doctype\s+html|html|head|body|script)\b", re.IGNORECASE | re.DOTALL)
_STORE_ERROR = re.compile(_BEFORE_MARKUP + r"<Error(?:\s[^>]*)?>\s*<(?:Code|Message)>", re.DOTALL)
_JSON_ERROR = re.compile(r'\ufeff?\s*\{\s*"(?:errors?|message|errorMessage|error_description|detail|fault|statusCode)"\s*:', re.IGNORECASE)
_TEXTS = (".json", ".jsonl", ".ndjson", ".geojson", ".ipynb", ".txt", ".csv", ".tsv", ".yaml", ".yml", ".md", ".log", ".map", ".har")


def contradiction(name: str, content_type: str | None, beginning: bytes) -> str | None:
    """Why an answer that begins like this cannot be the archive `name`. None if it may be: then its label counts for nothing."""
    if (wrong := wrong_magic(name, beginning)) is not None:
        return wrong
    if _beginnings(name):
        return None
    return page_instead(name, content_type) or looks_like_a_page(name, beginning) or _error_instead(name, beginning) or None


def page_instead(name: str, content_type: str | None) -> str | None:
    """Why an answer of this Content-Type cannot be the archive `name`: it is a web page. None if it may be."""
    is_page = (content_type or "").split(";")[0].strip().lower() in _PAGE_TYPES
    return f"the origin sent a web page ({content_type})" if is_page and not name.lower().endswith(_PAGES) else None


def looks_like_a_page(name: str, beginning: bytes) -> str:
    """Why a file that begins like this is not the archive `name`: it is a web page. Empty if it may be."""
    return "it is a web page" if _PAGE.match(_text(beginning)) and not name.lower().endswith(_PAGES) else ""


def _error_instead(name: str, beginning: bytes) -> str:
    """Why a file that begins like this is not the archive `name`: it says what went wrong. Empty if it may be."""
    text, lowered = _text(beginning), name.lower()
    if _STORE_ERROR.match(text) and not lowered.endswith(_MARKUP):
        return "it is an error message in XML"
    is_data = "." in lowered and not lowered.endswith((*_TEXTS, *_MARKUP))
    return "it is an error message in JSON" if is_data and _JSON_ERROR.match(text) else ""


def _text(beginning: bytes) -> str:
    """As text, whatever else it may be: UTF-16 by its mark or its zeros, else UTF-8."""
    if beginning.startswith((b"\xff\xfe", b"<\x00")):
        return beginning.decode("utf-16-le", "replace")
    if beginning.startswith((b"\xfe\xff", b"\x00<")):
        return beginning.decode("utf-16-be", "replace")
    return beginning.decode("utf-8", "replace")


def wrong_magic(name: str, beginning: bytes) -> str | None:
    """Why a body that begins like this cannot be the archive `name`. None if it may be."""
    if name.lower().endswith(".safetensors"):
        return _wrong_safetensors(beginning)
    magics = _beginnings(name)
    if not magics or any(beginning[: len(magic)] == magic[: len(beginning)] for magic in magics):
        return None
    if _HDF5 in magics and any(beginning[at : at + len(_HDF5)] == _HDF5 for at in _USER_BLOCKS):
        return None
    return f"its first bytes are {beginning[:8]!r}, but a {name[name.rindex('.') :]} file begins with {magics[0]!r}"


def _wrong_safetensors(beginning: bytes) -> str | None:
    """The length of a JSON object in eight bytes, and that object (safetensors' README, Format)."""
    if len(beginning) < 9 or beginning[8:9] == b"{":
        return None
    return f"its first bytes are {beginning[:8]!r}, but the header of a .safetensors file is a JSON object"


def _beginnings(name: str) -> tuple[bytes, ...]:
    return next((magics for suffix, magics in _BEGINNINGS.items() if name.lower().endswith(suffix)), ())


def is_genuinely_empty(name: str, content_type: str | None, *, has_validator: bool) -> bool:
    """Whether an answer without a byte is an empty file: the origin knows it by a validator, and does not call it a page."""
    return has_validator and page_instead(name, content_type) is None


def encoding_is_the_file(name: str, beginning: bytes) -> bool:
    """Whether a Content-Encoding only describes the file itself (Apache labels .tar.gz as x-gzip), or nothing: the wire bytes are kept."""
    return bool(_beginnings(name)) and wrong_magic(name, beginning) is None
