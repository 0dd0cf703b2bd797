"""At the end of a fill: are these bytes what was asked for?"""

import hashlib
import zlib
from collections.abc import Callable, Iterator

from dataset_mirror.errors import DigestMismatch, FillFailed
from dataset_mirror.fetch.digests import Digests
from dataset_mirror.origins.model import CatalogEntry
from dataset_mirror.rules.codings import decoder
from dataset_mirror.store.partial import PartialFile
from dataset_mirror.store.record import DigestSource

_STEP = 256 * 1024


def verdict(url: str, expected: CatalogEntry | None, digests: Digests, size: int, *, proven: bool) -> DigestSource:
    """Where the digest is known from, if the bytes are right; DigestMismatch or FillFailed otherwise.

    `proven` tells whether the body's framing showed its end; a body that ends by close needs digest or size of the catalog.
    """
    if expected and expected.has_digest:
        if digests.sha256 in expected.sha256 or digests.md5 in expected.md5:
            return "catalog"
        raise _mismatch(url, expected, digests)
    if expected and expected.size is not None:
        if size != expected.size:
            raise FillFailed(f"{url} has {size:,} bytes, but the catalog expects {expected.size:,}.", _override(url, digests.sha256))
    elif not proven:
        raise FillFailed(f"{url} came without a length, so nothing proves that its {size:,} bytes are all.", _override(url, digests.sha256))
    return "computed"


def decoded(url: str, wire: PartialFile, plain: PartialFile, encoding: str) -> Digests:
    """Decodes `wire` into the empty file `plain`; blocks. FillFailed if the encoding is unknown or the bytes do not fit it."""
    make = decoder(encoding)
    if make is None:
        raise FillFailed(f"{url} comes with Content-Encoding {encoding}, although none was asked for.", "Give another upstream.")
    sha256, md5 = hashlib.sha256(), hashlib.md5(usedforsecurity=False)
    try:
        for chunk in _plain_chunks(wire, make):
            plain.write(plain.prefix, chunk)
            sha256.update(chunk)
            md5.update(chunk)
    except zlib.error as error:
        raise FillFailed(f"{url} comes with Content-Encoding {encoding}, but cannot be decoded: {error}.", "Ask again.") from None
    return Digests(sha256.hexdigest(), md5.hexdigest())


def _plain_chunks(wire: PartialFile, make: Callable[[], "zlib._Decompress"]) -> Iterator[bytes]:
    """The decoded bytes in bounded steps: a small wire body may decode to a very large one. A gzip file may have several members."""
    decode, at, begun = make(), 0, False
    while given := wire.read(at, _STEP):
        at += len(given)
        while given:
            if decode.eof:
                decode = make()
            yield decode.decompress(given, _STEP)
            begun, given = True, decode.unconsumed_tail or decode.unused_data
    if not begun or not decode.eof:
        yield decode.flush()
    if not decode.eof:
        raise zlib.error("it ends too early")


def _mismatch(url: str, expected: CatalogEntry, digests: Digests) -> DigestMismatch:
    wanted = [f"sha256 {digest}" for digest in expected.sha256] or [f"md5 {digest}" for digest in expected.md5]
    got = f"sha256 {digests.sha256}" if expected.sha256 else f"md5 {digests.md5} (sha256 {digests.sha256})"
    return DigestMismatch(
        f"The origin's bytes of {url} have {got}, but the catalog expects {' or '.join(wanted)}.",
        _override(url, digests.sha256),
        archive=url,
        expected=wanted,
        got=got,
    )


def _override(url: str, sha256: str) -> str:
    return f'Nothing was kept. If you trust these bytes, write into mirror.toml: [[archives]] url = "{url}" sha256 = "{sha256}"'
