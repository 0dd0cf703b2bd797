"""What identifies an archive: authority, normalised raw path, raw query. Never the scheme, a redirect target or a basename."""

import re
from dataclasses import dataclass, field
from urllib.parse import unquote_to_bytes, urlsplit

from dataset_mirror.errors import BadRequest
from dataset_mirror.rules.authority import DEFAULT_PORTS, normal_authority
from dataset_mirror.rules.secrets import blurred, has_blurred

MAX_TARGET = 8 * 1024
"""Longest path and query, in bytes."""

_UNRESERVED = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
_ESCAPE = re.compile(rb"%([0-9A-Fa-f]{2})?")
_NOT_OF_A_PATH = frozenset(b"?#")
_VARIANT = re.compile(r"post=[0-9a-f]{64}|accept=[A-Za-z0-9%._~*,;=-]+")


@dataclass(frozen=True, slots=True)
class ArchiveId:
    """One archive: `authority` in lower case (port only if unusual), `path` normalised and raw, `query` raw without `?`.

    `variant` tells apart what an origin has at one URL, where a rule says so: `post=` and the SHA-256 of what was sent, or
    `accept=` and what a client reads. It is written behind a `#`, which no request has.

    Secrets in a query are blurred (`rules/secrets.py`), so that whatever writes down an archive writes down none. `given` is the query
    as somebody asked with it; it goes to the origin, is no part of the identity, and is kept nowhere.
    """

    authority: str
    path: str
    query: str = ""
    variant: str = ""
    given: str | None = field(default=None, compare=False, repr=False)

    @classmethod
    def of(cls, authority: str, path: str, query: str, variant: str = "", *, again: bool = False) -> "ArchiveId":
        """The archive at a URL with that query; `again` as `blurred` has it."""
        hidden = blurred(query, authority, again=again)
        return cls(authority, path, hidden, variant, None if hidden == query else query)

    @property
    def asked_with(self) -> str:
        """The query that goes to the origin."""
        return self.query if self.given is None else self.given

    @property
    def can_be_asked_for(self) -> bool:
        """Whether its whole URL is known, secrets and all."""
        return self.given is not None or not has_blurred(self.query)

    @property
    def target(self) -> str:
        """Path and query as they stand in a request line (RFC 9112 3.2.1)."""
        return f"{self.path}?{self.asked_with}" if self.query else self.path

    @property
    def shown(self) -> str:
        """Path and query without secrets."""
        return f"{self.path}?{self.query}" if self.query else self.path

    @property
    def name(self) -> str:
        """Last segment of the path: for people and for guessing the type, never an identity."""
        return self.path.rsplit("/", 1)[-1]

    def __str__(self) -> str:
        return self.authority + self.shown + self.mark

    @property
    def mark(self) -> str:
        """The variant as it stands behind a URL."""
        return f"#{self.variant}" if self.variant else ""


_SCHEME = re.compile(r"[^/?#]*://")


def with_scheme(url: str) -> str:
    """The URL as it is, or with https where it has no scheme; one that stands in its path or query is not its own."""
    return url if _SCHEME.match(url) else f"https://{url}"


def without_scheme(url: str) -> str:
    """HOST/PATH?QUERY of a URL, with or without its scheme."""
    found = _SCHEME.match(url)
    return url[found.end() :] if found else url


_ORDINARY_URL = re.compile(r"https?://([a-z0-9]+(?:[.-][a-z0-9]+)*)((?:/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)+/?)", re.ASCII)
"""URLs that are in their normal form as they are: a rebuild and an import read a great many."""
_LONGEST_HOST = 253


def parse_url(url: str) -> ArchiveId:
    """The archive that `url` names (scheme optional); BadRequest if it names none."""
    if (plain := _ORDINARY_URL.fullmatch(url)) and len(plain[1]) <= _LONGEST_HOST and len(plain[2]) <= MAX_TARGET:
        return ArchiveId(plain[1], plain[2])
    return _parsed(url)


def _parsed(url: str) -> ArchiveId:
    """The same, for URLs of any form."""
    if not url.isprintable() and any(
        ord(character) < 0x20 for character in url
    ):  # urlsplit would drop them, and another archive would be meant
        raise BadRequest(f"{url!r} has a control character.", "Check the URL.")
    try:
        parts = urlsplit(with_scheme(url))
        raw_path, raw_query = parts.path.encode(), parts.query.encode()
    except ValueError:
        raise BadRequest(f"{url!r} is not a URL.", "Give a URL such as https://host/path.") from None
    if parts.scheme in ("ftp", "ftps", "sftp"):
        raise BadRequest(
            f"{url} is not an http or https URL: {parts.scheme} is not supported.",
            "Many ftp servers have an http or https mirror: add that. Or download the file and run: dataset-mirror adopt FILE",
        )
    if parts.scheme == "file":
        raise BadRequest(f"{url} is a file of this machine.", "To take it into the mirror, run: dataset-mirror adopt FILE")
    if parts.scheme not in DEFAULT_PORTS:
        raise BadRequest(f"{url} is not an http or https URL.", "Give a URL such as https://host/path.")
    authority = normalise_authority(parts.netloc, parts.scheme)
    variant = parts.fragment if _VARIANT.fullmatch(parts.fragment) else ""
    return ArchiveId.of(authority, normalise_path(raw_path), check_query(raw_query), variant)


def normalise_authority(authority: str, scheme: str = "https") -> str:
    """Host in its normal form; the port only if it is not the scheme's own (RFC 3986 6.2.3). BadRequest for userinfo."""
    return normal_authority(authority, scheme)


_ORDINARY = re.compile(rb"(?:/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)+/?")
"""Paths that are normal as they are, as most are: no escapes, no empty segment, none that begins with a dot."""


def normalise_path(raw: bytes) -> str:
    """The path with unreserved characters decoded and hex in upper case (RFC 3986 6.2.2); `%2F` stays data.

    BadRequest if its fully decoded form has a `.` or `..` segment, an empty first segment, a backslash or a control byte.
    """
    if len(raw) > MAX_TARGET:
        raise BadRequest(f"The path is longer than {MAX_TARGET} bytes.", "Check the URL.")
    if _ORDINARY.fullmatch(raw):
        return raw.decode()
    path = _ESCAPE.sub(_normal_escape, raw or b"/")
    _refuse_tricks(path)
    return "".join(chr(byte) if 0x20 < byte < 0x7F and byte not in _NOT_OF_A_PATH else f"%{byte:02X}" for byte in path)


def check_query(raw: bytes) -> str:
    """The query as it is, if it is printable ASCII of a sane length; else BadRequest."""
    if len(raw) > MAX_TARGET:
        raise BadRequest(f"The query is longer than {MAX_TARGET} bytes.", "Check the URL.")
    if not all(0x20 < byte < 0x7F and byte != 0x23 for byte in raw):
        raise BadRequest("The query has a control byte, a space, a # or a byte that is not ASCII.", "Percent-encode it.")
    return raw.decode("ascii")


def _normal_escape(match: re.Match[bytes]) -> bytes:
    if match[1] is None:
        raise BadRequest("The path has a % that is not followed by two hex digits.", "Write it as %25.")
    byte = int(match[1], 16)
    return bytes([byte]) if byte in _UNRESERVED else b"%%%02X" % byte


def _refuse_tricks(path: bytes) -> None:
    decoded = path
    while (further := unquote_to_bytes(decoded)) != decoded:
        decoded = further
    if not decoded.startswith(b"/") or decoded.startswith(b"//"):
        raise BadRequest("The path does not start with exactly one slash.", "Write one slash between host and path.")
    if any(byte < 0x20 or byte == 0x7F or byte == 0x5C for byte in decoded):
        raise BadRequest("The path has a control byte or a backslash.", "Check the URL.")
    if any(segment in (b".", b"..") for segment in decoded.split(b"/")):
        raise BadRequest("The path has a segment '.' or '..'.", "Ask for the path that it leads to.")
