"""What comes in by a bundle: a union of sets, of which nothing is trusted."""

import hashlib
import io
import json
import os
import tarfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from unittest.mock import Mock

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dataset_mirror.airgap.bundle import bag
from dataset_mirror.airgap.bundle.publishing import Taken
from dataset_mirror.errors import BundleError
from dataset_mirror.origins.identity import ArchiveId
from dataset_mirror.origins.model import CatalogEntry
from dataset_mirror.rules.conditions import Validators
from dataset_mirror.store.record import Record
from dataset_mirror.store.store import Store
from tests.airgap.bundles import digest, exported, failed, knowing, rows, stored, tags, take, tar
from tests.disks import small_disk
from tests.store import archive, record

A, B = b"the bytes of a" * 100, b"the bytes of b" * 50
OF_A, OF_B = record(A, archive("/sets/a.zip")), record(B, archive("/sets/b.zip"))
DAY = 24 * 3600.0


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store(tmp_path / "inside")
    yield store
    store.close()


@pytest.fixture(scope="module")
def outside(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """A store that has the blobs which bundles are made of."""
    store = Store(tmp_path_factory.mktemp("outside"))
    for data in (A, B, b"", *DATA):
        stored(store, data, record(data, archive(f"/sets/{digest(data)}")))
    yield store
    store.close()


# A union of sets

DATA = [b"one", b"two", b"three"]
records = st.builds(
    lambda data, path, **facts: record(data, archive(path), **facts),
    st.sampled_from(DATA),
    st.sampled_from(["/sets/a", "/sets/b", "/sets/a/b"]),
    fetched=st.sampled_from([1.0, 2.0, 3.0]),
    checked=st.sampled_from([0.0, 4.0, 5.0]),
    validators=st.sampled_from([Validators(), Validators('"1"'), Validators('W/"2"', "Wed, 01 May 2024 10:00:00 GMT", True)]),
    fields=st.sampled_from([(), (("content-type", "application/zip"),)]),
    private=st.booleans(),
)


def united(known: list[Record]) -> set[tuple[Record, bool]]:
    """What a store has that was told all of this."""
    versions: dict[tuple[ArchiveId, str], Record] = {}
    for each in known:
        versions[each.archive, each.sha256] = versions.get((each.archive, each.sha256), each).united(each)
    current: dict[ArchiveId, Record] = {}
    for each in sorted(versions.values(), key=lambda version: (version.fetched, -int(version.sha256, 16))):
        current[each.archive] = each
    return {(each, current[each.archive] == each) for each in versions.values()}


@settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.lists(records, max_size=4), max_size=4), st.data())
def test_bundles_are_sets(
    outside: Store, tmp_path_factory: pytest.TempPathFactory, bundles: list[list[Record]], data: st.DataObject
) -> None:
    """Any bundles in any order, some of them twice, give the rows and blobs of their union."""
    order = data.draw(st.permutations([*bundles, *data.draw(st.lists(st.sampled_from(bundles), max_size=2) if bundles else st.just([]))]))
    store = Store(tmp_path_factory.mktemp("union"))
    for bundle in order:
        assert failed(take(store, exported(outside, bundle))) == {}
    assert rows(store) == united([each for bundle in bundles for each in bundle])
    store.close()


def test_bytes_of_two_archives_come_once(outside: Store, store: Store) -> None:
    """Two URLs with the same bytes are one payload file and two lines, and both arrive."""
    other = record(A, archive("/sets/other.zip"))
    bundle = exported(outside, [OF_A, other])
    assert bundle.count(A) == 1
    assert [each.state for each in take(store, bundle)] == ["imported"] * 2
    assert rows(store) == {(OF_A, True), (other, True)}


def test_bytes_that_are_inside_need_not_come(outside: Store, store: Store) -> None:
    """A bundle made with what the inside has brings only lines of it, which make another URL of the same bytes known."""
    stored(store, A, OF_A)
    other = record(A, archive("/sets/other.zip"))
    bundle = exported(outside, [OF_A, other, OF_B], frozenset([bytes.fromhex(OF_A.sha256)]))
    assert A not in bundle
    assert [(each.what, each.state) for each in take(store, bundle)] == [
        (OF_B.url, "imported"),
        (OF_A.url, "present"),
        (other.url, "imported"),
    ]
    assert rows(store) == {(each, True) for each in (OF_A, other, OF_B)}


def test_bytes_that_are_nowhere_are_missing(outside: Store, store: Store) -> None:
    """A line whose bytes are neither in the bundle nor inside is named, and the rest arrives."""
    taken = take(store, exported(outside, [OF_A, OF_B], frozenset([bytes.fromhex(OF_A.sha256)])))
    assert list(failed(taken)) == [OF_A.url]
    assert rows(store) == {(OF_B, True)}


def test_what_is_there_is_not_written_again(outside: Store, store: Store) -> None:
    """A second import of the same bundle leaves blobs, journal and index alone."""
    bundle = exported(outside, [OF_A, OF_B])
    take(store, bundle)
    inode, journal, version = store.blobs.inode(OF_A.sha256), store.journal.size, store.index.data_version()
    assert [each.state for each in take(store, bundle)] == ["present"] * 2
    assert (store.blobs.inode(OF_A.sha256), store.journal.size, store.index.data_version()) == (inode, journal, version)


def test_a_blob_that_was_cut_short_is_replaced(outside: Store, store: Store) -> None:
    """Bytes that the disk has lost are taken from the bundle, although the index knows them."""
    stored(store, A, OF_A)
    store.blobs.path(OF_A.sha256).write_bytes(A[:10])
    assert [each.state for each in take(store, exported(outside, [OF_A]))] == ["imported"]
    assert rows(store) == {(OF_A, True)}


def test_an_empty_archive_comes(outside: Store, store: Store) -> None:
    """An archive of no bytes is an archive."""
    empty = record(b"", archive("/sets/empty"))
    take(store, exported(outside, [empty]))
    assert rows(store) == {(empty, True)}


# Damage


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_no_flipped_bit_puts_wrong_bytes_anywhere(outside: Store, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    """Whichever bit of a bundle flips, what arrives is right, and what does not is named."""
    bundle = bytearray(exported(outside, [OF_A, OF_B]))
    at = data.draw(st.integers(0, len(bundle.rstrip(b"\0")) - 1))
    bundle[at] ^= 1 << data.draw(st.integers(0, 7))
    store = Store(tmp_path_factory.mktemp("flipped"))
    try:
        bad = failed(take(store, bytes(bundle)))
    except BundleError:
        bad = {"all of it": ""}
    found = rows(store)
    assert found <= {(OF_A, True), (OF_B, True)}
    assert bad or len(found) == 2
    store.close()


@pytest.mark.parametrize("flipped", [A, B], ids=["first", "last"])
def test_a_damaged_archive_is_named_and_the_rest_arrives(outside: Store, store: Store, flipped: bytes) -> None:
    """One flipped byte costs the archive that it is in, and no other."""
    bundle = bytearray(exported(outside, [OF_A, OF_B]))
    bundle[bundle.index(flipped) + 7] ^= 1
    bad, good = (OF_A, OF_B) if flipped is A else (OF_B, OF_A)
    said = failed(take(store, bytes(bundle)))
    assert list(said) == [bad.url]
    assert "damaged" in said[bad.url]
    assert rows(store) == {(good, True)}


@pytest.mark.parametrize("name", [bag.DECLARATION, bag.INFO, bag.MANIFEST, bag.LINES, bag.TAG_MANIFEST])
def test_a_damaged_list_is_not_believed(outside: Store, store: Store, name: str) -> None:
    """Of a bundle whose tag files were changed nothing is taken: right bytes could come under a wrong URL."""
    whole = exported(outside, [OF_A, OF_B])
    with tarfile.open(fileobj=io.BytesIO(whole)) as packed:
        entry = next(each for each in packed if each.name.endswith(f"/{name}"))
    bundle = bytearray(whole)
    bundle[entry.offset_data + 5] ^= 1
    with pytest.raises(BundleError, match="damaged"):
        take(store, bytes(bundle))
    assert rows(store) == set()


def test_a_bundle_that_ends_early_gives_what_it_has(outside: Store, store: Store) -> None:
    """Of a tar that was cut in the second archive the first arrives, and each other is named."""
    whole = exported(outside, [OF_A, OF_B])
    said = failed(take(store, whole[: whole.index(B) + 10]))
    assert OF_B.url in said
    assert rows(store) == {(OF_A, True)}


# Hostile bundles

FILES = {"data/a.zip": A, "data/b.zip": B}
LINES = [OF_A.to_line(), OF_B.to_line()]
GOOD = tags(FILES, LINES)


def special(name: str, kind: bytes, **facts: object) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.type = kind
    for key, value in facts.items():
        setattr(entry, key, value)
    return entry


def sized(name: str, size: int) -> tarfile.TarInfo:
    return special(f"bag/{name}", tarfile.REGTYPE, size=size)


def with_pax(name: str, **keys: str) -> bytes:
    entry = sized(name, len(A))
    entry.pax_headers = keys
    return entry.tobuf(tarfile.PAX_FORMAT) + A + bytes(-len(A) % 512)


HOSTILE: dict[str, tuple[Callable[[], bytes], str]] = {
    "a symbolic link": (lambda: with_a(special("bag/data/a.zip", tarfile.SYMTYPE, linkname="/etc/passwd")), "symbolic link"),
    "a hard link": (lambda: with_a(special("bag/data/a.zip", tarfile.LNKTYPE, linkname="bag/data/b.zip")), "hard link"),
    "a device": (lambda: with_a(special("bag/data/a.zip", tarfile.CHRTYPE, devmajor=1, devminor=3)), "device"),
    "a pipe": (lambda: with_a(special("bag/data/a.zip", tarfile.FIFOTYPE)), "pipe"),
    "an unknown kind": (lambda: with_a(special("bag/data/a.zip", b"Z")), "another kind"),
    "a sparse file": (lambda: spliced(with_pax("data/a.zip", **{"GNU.sparse.map": "0,1", "GNU.sparse.size": "9"})), "sparse"),
    "more bytes than the list says": (lambda: with_a(sized("data/a.zip", len(A) + 1), A + b"x"), "bytes, but the list says"),
    "an absurd size": (lambda: with_a(sized("data/a.zip", 8**11 - 1)), "bytes, but the list says"),
    "a path out of the bag": (lambda: with_a(sized("data/../../../etc/a.zip", len(A)), A), "not in the manifest"),
    "an absolute path": (lambda: with_a(special("/data/a.zip", tarfile.REGTYPE, size=len(A)), A), OF_A.url),
    "other bytes": (lambda: with_a(sized("data/a.zip", len(A)), A[::-1]), "damaged"),
    "a name that is twice there": (lambda: tar([*GOOD.items(), *FILES.items(), ("data/b.zip", b"again")]), "came before"),
    "a name that writes to the terminal": (lambda: with_a(sized("data/\x1b]0;a\udcff.zip", len(A)), A), "'bag/data/\\x1b]0;a"),
    "a file that the list does not know": (lambda: tar([*GOOD.items(), *FILES.items(), ("data/c", b"c")]), "not in the manifest"),
}
"""How each is made, and what is said of it; `b.zip` must arrive all the same."""


def with_a(entry: tarfile.TarInfo, content: bytes = b"") -> bytes:
    return tar([*GOOD.items(), ("data/b.zip", B), (entry, content)])


def spliced(raw: bytes) -> bytes:
    whole = tar([*GOOD.items(), ("data/b.zip", B)])
    end = whole.index(B) + len(B) + -len(B) % 512
    return whole[:end] + raw + bytes(10240)


@pytest.mark.parametrize("case", HOSTILE)
def test_what_is_wrong_with_one_file_is_named(store: Store, case: str) -> None:
    """A file that is not what it should be is refused and said, writes nothing anywhere, and costs no other archive."""
    make, said = HOSTILE[case]
    bad = failed(take(store, make()))
    assert said in " ".join([*bad, *bad.values()])
    found = rows(store)
    assert (OF_B, True) in found
    assert found <= {(OF_A, True), (OF_B, True)}


REFUSED: dict[str, Callable[[], bytes]] = {
    "nothing": lambda: b"",
    "no tar": lambda: b"hello" * 1000,
    "an empty tar": lambda: tar([]),
    "no list": lambda: tar([(name, content) for name, content in GOOD.items() if name != bag.LINES]),
    "no manifest of the tag files": lambda: tar([(name, content) for name, content in GOOD.items() if name != bag.TAG_MANIFEST]),
    "archives before the list": lambda: tar([*FILES.items(), *GOOD.items()]),
    "two lists": lambda: tar([(bag.LINES, b""), *GOOD.items(), *FILES.items()]),
    "a list that is absurdly long": lambda: tar([(sized(bag.LINES, bag.MOST_TAG_BYTES + 1), b""), *GOOD.items()]),
    "a list that is a link": lambda: tar([(special(f"bag/{bag.LINES}", tarfile.SYMTYPE, linkname="/etc/passwd"), b""), *GOOD.items()]),
    "a manifest that leads out": lambda: tar(tags(FILES, LINES, f"{digest(A)}  data/../../a.zip\n".encode()).items()),
    "a manifest with an absolute path": lambda: tar(tags(FILES, LINES, f"{digest(A)}  /etc/a.zip\n".encode()).items()),
    "a manifest with a name twice": lambda: tar(tags(FILES, LINES, f"{digest(A)}  data/a\n{digest(B)}  data/a\n".encode()).items()),
    "a manifest that is none": lambda: tar(tags(FILES, LINES, b"hello\n").items()),
    "an absurdly long name": lambda: tar([(special("bag/x", tarfile.GNUTYPE_LONGNAME, size=2**40), b""), *GOOD.items()]),
    "endless heads": lambda: special("bag/x", tarfile.XHDTYPE, size=0).tobuf(tarfile.USTAR_FORMAT) * 5000,
    "a link whose folder writes to the terminal": lambda: tar([(special("\x1b]0;a/bagit.txt", tarfile.SYMTYPE), b""), *GOOD.items()]),
    "a negative size": lambda: special("bag/bagit.txt", tarfile.REGTYPE, size=-(2**33)).tobuf(tarfile.GNU_FORMAT) + tar(GOOD.items()),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_no_bundle_is_refused(store: Store, case: str) -> None:
    """What is wrong with the whole is one error, and nothing is taken."""
    with pytest.raises(BundleError) as error:
        take(store, REFUSED[case]())
    assert str(error.value).isprintable()
    assert rows(store) == set()


CLAIMS = {
    "an origin that is not listed": (record(A, ArchiveId("evil.example.com", "/a.zip")), "evil.example.com"),
    "a path that is not listed": (record(A, archive("/private/a.zip")), "does not list"),
    "the future": (record(A, OF_A.archive, fetched=time.time() + 3 * DAY), "future"),
    "a check in the future": (record(A, OF_A.archive, checked=time.time() + 3 * DAY), "future"),
    "endless header fields": (record(A, OF_A.archive, fields=(("x-a", "a" * 40_000),)), "header fields"),
}


@pytest.mark.parametrize("case", CLAIMS)
def test_a_claim_that_cannot_be_is_refused(outside: Store, store: Store, case: str) -> None:
    """A line that says what may not be, or cannot, is named; the others are taken."""
    claimed, said = CLAIMS[case]
    bad = failed(take(store, exported(outside, [claimed, OF_B])))
    assert list(bad) == [claimed.url]
    assert said in bad[claimed.url]
    assert rows(store) == {(OF_B, True)}


def test_lines_that_are_none_are_named(store: Store) -> None:
    """Lines that cannot be read cost themselves only."""
    lines = ["{", '{"sha256": 5}', LINES[0].replace("https:", "ftp:"), LINES[1]]
    taken = take(store, tar([*tags(FILES, lines).items(), *FILES.items()]))
    assert sorted(each.state for each in taken) == ["failed"] * 3 + ["imported"]
    assert rows(store) == {(OF_B, True)}


FACTS: dict[str, dict[str, object]] = {
    "another host": {"scope": "unlisted.example/x"},
    "a host that writes to the terminal": {"scope": "\x1b]0;a/x"},
    "a host that a shell would run": {"scope": "a.example'; touch b; '/x"},
    "a name that writes to the terminal": {"about": "data.example.org/x@\x1b]0;a"},
    "half a character": {"about": "data.example.org/x@\ud800"},
    "the future": {"checked": time.time() + 3 * DAY},
    "no time": {"checked": float("nan")},
}


@pytest.mark.parametrize("case", FACTS)
def test_what_an_origin_cannot_have_said_is_named(store: Store, case: str) -> None:
    """What is no bytes is judged like an archive: refused, in words that harm no terminal and no shell; the archives are taken."""
    known = {"knows": "ref", "about": "data.example.org/x@main", "scope": "data.example.org/x", "checked": 1.0, "commit": "abc123"}
    bad = failed(take(store, tar([*tags(FILES, [*LINES, json.dumps({**known, **FACTS[case]})]).items(), *FILES.items()])))
    assert list(bad) == ["a line of archives.ndjson"]
    said = bad["a line of archives.ndjson"]
    assert said.isprintable()
    assert "touch b" not in said.partition("To allow it")[2]
    assert store.index.facts() == []
    assert rows(store) == {(OF_A, True), (OF_B, True)}


def test_any_origin_can_be_allowed(outside: Store, store: Store) -> None:
    """With --any-origin archives of hosts that are not configured are kept, too."""
    foreign = record(A, ArchiveId("other.example.com", "/a.zip"))
    assert failed(take(store, exported(outside, [foreign]), any_origin=True)) == {}
    assert rows(store) == {(foreign, True)}


@pytest.mark.parametrize(
    ("entry", "source"),
    [
        pytest.param(CatalogEntry(url=OF_A.url, sha256=digest(A)), "catalog", id="its SHA-256"),
        pytest.param(CatalogEntry(url=OF_A.url, md5="2dcd1b1d8d3d0f9e7e4ef8d6a5e8c4a7"), None, id="another MD5"),
        pytest.param(CatalogEntry(url=OF_A.url, sha256=digest(B)), None, id="another SHA-256"),
        pytest.param(CatalogEntry(url=OF_A.url, size=5), None, id="another size"),
        pytest.param(CatalogEntry(url=OF_A.url, size=len(A)), "computed", id="its size"),
    ],
)
@pytest.mark.parametrize("known", [False, True], ids=["new bytes", "bytes that are here"])
def test_the_own_catalog_decides(outside: Store, store: Store, entry: CatalogEntry, source: str | None, known: bool) -> None:
    """Where the digest is known from is what our catalog says, never the bundle; other bytes than it expects are refused."""
    if known:
        stored(store, A, record(A, archive("/sets/else.zip")))
    bad = failed(take(store, exported(outside, [replace(OF_A, source="catalog")]), knowing(entry)))
    found = store.find(OF_A.archive)
    assert (found.source if found else None) == source
    assert bool(bad) == (source is None)


def test_an_md5_of_the_catalog_is_computed(outside: Store, store: Store) -> None:
    """An MD5 that a bundle claims counts nothing; ours is computed from the bytes."""
    right = hashlib.md5(A, usedforsecurity=False).hexdigest()
    take(store, exported(outside, [replace(OF_A, md5="0" * 32)]), knowing(CatalogEntry(url=OF_A.url, md5=right)))
    assert store.find(OF_A.archive) == replace(OF_A, md5=right, source="catalog")


def test_header_fields_pass_the_same_list_as_those_of_an_origin(outside: Store, store: Store) -> None:
    """Fields that are not kept of an origin are not taken from a bundle, nor what would break a head."""
    odd = record(
        A,
        fields=(("Content-Type", "application/zip"), ("set-cookie", "a=1"), ("x\r\ny", "1"), ("x-a", "1\r\nx-b: 2"), ("x-c", "\u4e00")),
        validators=Validators('"a\r\nb"', "yesterday", True),
    )
    take(store, exported(outside, [odd]))
    found = store.find(odd.archive)
    assert found is not None
    assert (found.fields, found.validators) == ((("content-type", "application/zip"),), Validators())


def test_what_is_private_stays_so(outside: Store, store: Store) -> None:
    """A private archive is private inside, and has no name in the tree."""
    take(store, exported(outside, [replace(OF_A, private=True)]))
    assert rows(store) == {(replace(OF_A, private=True), True)}
    assert not list(store.folder.tree.rglob("*.zip"))


def test_what_has_no_room_is_said_with_figures(outside: Store, tmp_path: Path) -> None:
    """An archive that max_size has no room for is refused before a byte is written; a smaller one still arrives."""
    store = Store(tmp_path / "small", max_size=len(B) + 10)
    bad = failed(take(store, exported(outside, [OF_A, OF_B])))
    assert list(bad) == [OF_A.url]
    assert f"{len(A):,} bytes" in bad[OF_A.url]
    assert rows(store) == {(OF_B, True)}
    store.close()


def test_a_full_disk_is_said_of_each_archive(tmp_path: Path) -> None:
    """Archives that the disk has no room for when they are published are each named; with room again, the same bundle brings them."""
    bundle = tar([*GOOD.items(), *FILES.items()])
    with small_disk(tmp_path / "disk", "2m") as disk:
        store = Store(disk.root / "data")
        disk.fill(leave=len(A) + 20_000)  # for the bytes, not for the index
        assert list(failed(take(store, bundle))) == [OF_A.url, OF_B.url]
        disk.empty()
        assert failed(take(store, bundle)) == {}
        assert rows(store) == {(OF_A, True), (OF_B, True)}
        store.close()


# Folders


def unpacked(bundle: bytes, folder: Path) -> Path:
    with tarfile.open(fileobj=io.BytesIO(bundle)) as packed:
        packed.extractall(folder, filter="data")
    return next(folder.iterdir())


def test_an_unpacked_bundle_is_one(outside: Store, store: Store, tmp_path: Path) -> None:
    """The folder that tar makes of a bundle is taken like the tar."""
    assert failed(take(store, unpacked(exported(outside, [OF_A, OF_B]), tmp_path / "disk"))) == {}
    assert rows(store) == {(OF_A, True), (OF_B, True)}


@pytest.mark.parametrize("how", ["a link", "a folder that is a link", "a circle", "gone", "changed"])
def test_a_folder_is_not_trusted_either(outside: Store, store: Store, tmp_path: Path, how: str) -> None:
    """Links are not followed, even to the right bytes; what is missing or damaged is named, and the rest arrives."""
    bad = record(A, archive("/sets/deep/a.zip"))
    folder = unpacked(exported(outside, [bad, OF_B]), tmp_path / "disk")
    file = folder / "data" / bad.archive.authority / "sets/deep/a.zip"
    if how == "a folder that is a link":
        file.parent.rename(tmp_path / "elsewhere")
        file.parent.symlink_to(tmp_path / "elsewhere")
    elif how == "a circle":
        file.parent.rename(tmp_path / "elsewhere")
        file.parent.symlink_to(file.parent)
    elif how == "changed":
        file.write_bytes(A[::-1])
    else:
        file.rename(tmp_path / "a.zip")
        if how == "a link":
            file.symlink_to(tmp_path / "a.zip")
    taken: list[Taken] = take(store, folder)
    assert list(failed(taken)) == [bad.url]
    assert rows(store) == {(OF_B, True)}


def test_many_archives_of_one_blob(store: Store, outside: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A thousand archives that are the same bytes are written in a few batches, not with two syncs each."""
    bundle = exported(outside, [record(A, archive(f"/sets/{number}")) for number in range(1000)])
    sync = Mock(wraps=os.fsync)
    monkeypatch.setattr(os, "fsync", sync)
    taken = take(store, bundle)
    assert sync.call_count < 20
    assert ({one.state for one in taken}, len(taken), len(rows(store))) == ({"imported"}, 1000, 1000)
    assert {one.state for one in take(store, bundle)} == {"present"}
