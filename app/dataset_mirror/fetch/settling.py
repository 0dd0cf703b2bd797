"""At the end of a fill: are these bytes what was asked for?"""

import logging
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence

from dataset_mirror.errors import DamagedTransfer, DigestMismatch, FillFailed
from dataset_mirror.origins.model import CatalogEntry
from dataset_mirror.rules.codings import decoder
from dataset_mirror.rules.counted import counted
from dataset_mirror.rules.digests import CHECKSUMS, Algorithm, Claim, confirmed, disproved
from dataset_mirror.store.digests import Digesting, Digests
from dataset_mirror.store.partial import PartialFile
from dataset_mirror.store.record import DigestSource, Record

log = logging.getLogger(__name__)

_STEP = 256 * 1024


def check_transfer(url: str, expected: CatalogEntry | None, claims: Iterable[Claim], digests: Digests) -> None:
    """DamagedTransfer if the bytes, as they came over the wire, are not those of which their origin says so. The catalog knows better."""
    wrong = disproved(claims, digests.known)
    if wrong is None or (expected and _is_expected(expected, digests)):
        return
    got = digests.known[wrong.algorithm]
    raise DamagedTransfer(
        f"The bytes of {url} have {wrong.algorithm} {got}, but their origin says that it is {wrong.value} ({wrong.by}).",
        _override(url, digests.sha256),
        archive=url,
        expected=[f"{wrong.algorithm} {wrong.value}"],
        got=f"{wrong.algorithm} {got}",
    )


def check_shared(url: str, known: Record, digests: Digests, size: int) -> None:
    """DamagedTransfer if bytes that other mirrors sent, or their bucket, are not those that they were verified as."""
    if digests.sha256 == known.sha256 and size == known.size:
        return
    raise DamagedTransfer(
        f"The bytes of {url} that the other mirrors keep have sha256 {digests.sha256} instead of {known.sha256}.",
        "They are fetched from the origin; run: dataset-mirror verify --bucket",
        archive=url,
        expected=[f"sha256 {known.sha256}"],
        got=f"sha256 {digests.sha256}",
    )


def vouched_by(url: str, claims: Iterable[Claim], names: Sequence[Claim], digests: Digests) -> DigestSource:
    """Who, besides the catalog, vouches for bytes; a digest in their own URL that they do not have is only said."""
    if confirmed(names, digests.known):
        return "url"
    if contradicted := [claim for claim in names if claim.holds(digests.known) is False]:
        claim = contradicted[0]
        got = digests.known[claim.algorithm]
        log.warning("%s has %s %s, which disagrees with %s: %s.", url, claim.algorithm, got, claim.by, claim.value)
        return "disputed"
    sure = [claim for claim in claims if claim.algorithm not in CHECKSUMS]
    return "origin" if confirmed(sure, digests.known) else "computed"


def _is_expected(expected: CatalogEntry, digests: Digests) -> bool:
    return digests.has_any((*expected.sha256, *expected.md5))


def verdict(
    url: str, expected: CatalogEntry | None, digests: Digests, size: int, *, proven: bool, by: str = "the catalog expects"
) -> DigestSource:
    """Where the digest is known from, if the bytes are right; DigestMismatch or FillFailed otherwise.

    `by` says who expects what is `expected`.
    `proven` tells whether the body's framing showed its end; a body that ends by close needs digest or size of the catalog.
    """
    if expected and expected.has_digest:
        if _is_expected(expected, digests):
            return "catalog"
        raise _mismatch(url, expected, digests, by)
    if expected and expected.size is not None:
        if size != expected.size:
            raise FillFailed(f"{url} has {counted(size, 'byte')}, but {by} {expected.size:,}.", _override(url, digests.sha256))
    elif not proven:
        raise FillFailed(
            f"{url} came without a length, so nothing proves that its {counted(size, 'byte')} are all.", _override(url, digests.sha256)
        )
    return "computed"


def decoded(
    url: str, wire: PartialFile, plain: PartialFile, encoding: str, also: Iterable[Algorithm], make_room: Callable[[int], None]
) -> Digests:
    """Decodes `wire` into the empty file `plain`; blocks. FillFailed if the encoding is unknown or the bytes do not fit it.

    `make_room` is called with the bytes of each step before they are written, and may refuse them: nobody knows how many will come.
    """
    make = decoder(encoding)
    if make is None:
        raise FillFailed(
            f"{url} comes with Content-Encoding {encoding}, although none was asked for.",
            f'Give another upstream; or, to keep it as it comes, write into mirror.toml: [[archives]] url = "{url}" sha256 = "…"',
        )
    digesting = Digesting(also)
    try:
        for chunk in _plain_chunks(wire, make):
            make_room(len(chunk))
            plain.write(plain.prefix, chunk)
            digesting.update(chunk)
    except zlib.error as error:
        raise FillFailed(f"{url} comes with Content-Encoding {encoding}, but cannot be decoded: {error}.", "Ask again.") from None
    return digesting.digests


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


def _mismatch(url: str, expected: CatalogEntry, digests: Digests, by: str) -> DigestMismatch:
    wanted = [f"sha256 {digest}" for digest in expected.sha256] or [f"md5 {digest}" for digest in expected.md5]
    got = f"sha256 {digests.sha256}" if expected.sha256 else f"md5 {digests.md5} (sha256 {digests.sha256})"
    return DigestMismatch(
        f"The origin's bytes of {url} have {got}, but {by} {' or '.join(wanted)}.",
        _override(url, digests.sha256),
        archive=url,
        expected=wanted,
        got=got,
    )


def _override(url: str, sha256: str) -> str:
    return f'Nothing was kept. If you trust these bytes, write into mirror.toml: [[archives]] url = "{url}" sha256 = "{sha256}"'
