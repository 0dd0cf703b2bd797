"""Bundles as people make, check and carry them: with the commands, tar, sha256sum and the reference tool for bags."""

import hashlib
import json
import shutil
import signal
import subprocess
import tarfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import bagit  # type: ignore[import-untyped]
import pytest

from dataset_mirror.airgap.bundle import bag
from dataset_mirror.airgap.bundle.export import plan
from dataset_mirror.cli import main
from dataset_mirror.errors import BundleError
from dataset_mirror.origins.identity import ArchiveId
from dataset_mirror.store.knowledge import Fact
from dataset_mirror.store.record import Record
from dataset_mirror.store.store import Store
from tests import warm
from tests.airgap.bundles import exported, failed, rows, stored, take
from tests.origin import body
from tests.serving import HOST, PATIENCE, PROGRAM, URL, Mirror, environment
from tests.store import archive, record

SETTINGS = {"origins": [{"url": URL, "paths": ["/sets/"]}, {"url": "https://mirror.example.org:8443", "paths": ["/a/"]}], "min_free": 0}
MANY = {f"/sets/{number}.zip": b"%d" % number + body(60_000 + number) for number in range(8)}
ODD = [
    archive("/sets/Case.zip"),
    archive("/sets/case.zip"),
    archive("/sets/file"),
    archive("/sets/file/below"),
    archive("/sets/a%20b%C3%A9*.zip"),
    archive("/sets/con/aux.txt"),
    archive("/sets/" + "long" * 80),
    archive("/sets/q.zip", "a=1&b=%2F"),
    ArchiveId("mirror.example.org:8443", "/a/b.zip"),
]


@pytest.fixture(scope="module")
def outside(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """A store with archives of all sorts, an old version, and a private one."""
    store = Store(tmp_path_factory.mktemp("outside") / "data")
    for path, data in MANY.items():
        stored(store, data, record(data, archive(path), fetched=1e9))
    for number, name in enumerate(ODD):
        data = f"odd {number}".encode()
        stored(store, data, record(data, name, fetched=1e9 + number))
    stored(store, b"newer", record(b"newer", ODD[0], fetched=1.5e9))
    stored(store, b"secret", replace(record(b"secret", archive("/sets/secret")), private=True))
    yield store
    store.close()


@pytest.fixture(scope="module")
def bundle(outside: Store, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Everything in one tar."""
    file = tmp_path_factory.mktemp("disk") / "all.tar"
    assert run(outside, "export", str(file), "--all").returncode == 0
    return file


@pytest.fixture
def inside(tmp_path: Path) -> Iterator[Store]:
    store = Store(tmp_path / "inside")
    yield store
    store.close()


def run(store: Store, *arguments: str, content: bytes | None = None) -> subprocess.CompletedProcess[bytes]:
    """A command on the store's data folder."""
    verb, *rest = arguments
    return warm.run_with_bytes(verb, "--data", store.folder.root, *rest, env=of(store), content=content or b"")


def here(monkeypatch: pytest.MonkeyPatch, store: Store, *arguments: str) -> object:
    """The exit code of a command that runs in this process, which is faster."""
    for name, value in of(store).items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit) as ended:
        main([arguments[0], "--data", str(store.folder.root), *arguments[1:]])
    return ended.value.code


def command(store: Store, verb: str, *arguments: str) -> list[str]:
    return [PROGRAM, verb, "--data", str(store.folder.root), *arguments]


def of(store: Store) -> dict[str, str]:
    return environment(store.folder.root.parent, SETTINGS)


def public(store: Store) -> set[Record]:
    """The current bytes of what is not private."""
    return {known for known, current in rows(store) if current and not known.private}


def current(store: Store) -> set[Record]:
    return {known for known, current in rows(store) if current}


def flipped(bundle: Path, data: bytes, target: Path) -> Path:
    """A copy with one byte of `data` changed."""
    content = bytearray(bundle.read_bytes())
    content[content.index(data) + len(data) // 2] ^= 1
    target.write_bytes(content)
    return target


# Outside


def test_tar_and_sha256sum_check_a_bundle(bundle: Path, tmp_path: Path) -> None:
    """A person without this program unpacks it with tar, and sha256sum finds every file as the manifests say."""
    subprocess.run(["tar", "xf", bundle], cwd=tmp_path, check=True)
    (folder,) = tmp_path.iterdir()
    for manifest in (bag.MANIFEST, bag.TAG_MANIFEST):
        subprocess.run(["sha256sum", "--strict", "--quiet", "-c", manifest], cwd=folder, check=True)
    assert {path.name for path in folder.iterdir()} == {"data", bag.DECLARATION, bag.INFO, bag.MANIFEST, bag.TAG_MANIFEST, bag.LINES}
    assert (folder / "data" / HOST / "sets/0.zip").read_bytes() == MANY["/sets/0.zip"]


def test_the_reference_tool_accepts_a_bundle(bundle: Path, tmp_path: Path) -> None:
    """What `bagit` says of the unpacked bundle: valid, with the number of files and bytes that it has."""
    subprocess.run(["tar", "xf", bundle], cwd=tmp_path, check=True)
    (folder,) = tmp_path.iterdir()
    known = bagit.Bag(str(folder))
    assert known.validate()
    assert known.version_info == (1, 0)
    assert known.info["Bag-Software-Agent"].startswith("dataset-mirror ")


def test_the_list_has_the_true_urls(bundle: Path, outside: Store) -> None:
    """Whatever the files are called, archives.ndjson says which URL each digest is, in the lines of the journal."""
    with tarfile.open(bundle) as packed:
        name = next(name for name in packed.getnames() if name.endswith(bag.LINES))
        lines = packed.extractfile(name)
        assert lines is not None
        assert {Record.from_line(line.decode()) for line in lines.read().splitlines()} == public(outside)


def test_the_same_archives_make_the_same_bytes(outside: Store, bundle: Path) -> None:
    """A bundle is a function of what is in it."""
    assert run(outside, "export", "-", "--all").stdout == bundle.read_bytes()


def test_private_archives_stay_at_home(outside: Store, bundle: Path) -> None:
    """A private archive is left out, which is said, unless --private takes it along."""
    assert b"secret" not in bundle.read_bytes()
    one = run(outside, "export", "-", f"{URL}/sets/secret")
    assert b"Private archives are left out: 1." in one.stderr
    assert b"secret" not in one.stdout.partition(b"archives.ndjson")[2][512:]
    assert b"secret" in run(outside, "export", "-", f"{URL}/sets/secret", "--private").stdout.partition(b"archives.ndjson")[2][512:]


def test_a_wanted_list_is_exported(outside: Store, inside: Store, tmp_path: Path) -> None:
    """What a list names goes out; what of it is not stored is named, and the exit code is 1."""
    (tmp_path / "wanted.txt").write_text(f"# from inside\n{URL}/sets/1.zip\n{URL}/sets/none.zip\n")
    file = tmp_path / "wanted.tar"
    export = run(outside, "export", str(file), "--wanted", str(tmp_path / "wanted.txt"))
    assert export.returncode == 1
    told = [
        json.loads(line) for line in run(outside, "export", "-", "--json", "--wanted", str(tmp_path / "wanted.txt")).stderr.splitlines()
    ]
    assert {one["url"] for one in told if one["state"] == "failed"} == {f"{URL}/sets/none.zip"}
    assert any(one["state"] == "written" for one in told)
    assert b"failed   https://data.example.org/sets/none.zip" in export.stderr
    assert run(inside, "import", str(file)).returncode == 0
    assert {known.url for known in current(inside)} == {f"{URL}/sets/1.zip"}


def test_what_the_inside_has_stays_out(outside: Store, inside: Store, tmp_path: Path) -> None:
    """`have` inside and `--minus` outside make a bundle of what is new; afterwards both sides have the same."""
    some = f"{URL}/sets/[0-4].zip"
    take(inside, run(outside, "export", "-", some).stdout)
    have = run(inside, "have").stdout
    lines = have.decode().splitlines()
    assert lines[0].startswith("#")
    assert lines[1:] == sorted(hashlib.sha256(MANY[f"/sets/{number}.zip"]).hexdigest() for number in range(5))
    (tmp_path / "have.txt").write_bytes(have)
    new = run(outside, "export", "-", "--all", "--minus", str(tmp_path / "have.txt"))
    assert MANY["/sets/4.zip"] not in new.stdout
    assert MANY["/sets/5.zip"] in new.stdout
    assert b"/sets/4.zip" not in new.stdout
    take(inside, new.stdout, any_origin=True)
    assert current(inside) == public(outside)


def test_older_versions_go_along_if_that_is_said(outside: Store, inside: Store) -> None:
    """With --versions both bytes of a changed archive arrive, and the later ones are current."""
    take(inside, run(outside, "export", "-", f"{URL}/sets/Case.zip", "--versions").stdout)
    assert [known.sha256 for known in inside.index.versions(ODD[0])] == [hashlib.sha256(data).hexdigest() for data in (b"newer", b"odd 0")]


@pytest.mark.parametrize("damage", ["flipped", "short"])
def test_a_damaged_blob_is_named_and_cannot_spoil_the_inside(inside: Store, tmp_path: Path, damage: str) -> None:
    """The export says which archive is damaged and ends with 1; the import refuses it, and takes the rest."""
    store = Store(tmp_path / "damaged")
    good, bad = body(5000), body(7000)
    for data, path in ((good, "/sets/a"), (bad, "/sets/b")):
        stored(store, data, record(data, archive(path)))
    blob = store.blobs.path(hashlib.sha256(bad).hexdigest())
    blob.write_bytes(bad[:-1] + b"?" if damage == "flipped" else bad[:100])
    export = run(store, "export", "-", "--all")
    assert export.returncode == 1
    assert b"https://data.example.org/sets/b is damaged on the disk" in export.stderr
    assert list(failed(take(inside, export.stdout))) == [f"{URL}/sets/b"]
    assert {known.archive.path for known in current(inside)} == {"/sets/a"}
    store.close()


def test_a_file_that_cannot_be_written_is_one_sentence(outside: Store, tmp_path: Path) -> None:
    """No half bundle is left where none could be made."""
    export = run(outside, "export", str(tmp_path / "no folder" / "a.tar"), "--all")
    assert export.returncode == 1
    assert b"dataset-mirror: The bundle " in export.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("arguments", [[], ["--all", "keras/mnist"], ["--all", "--minus", "README.md"], ["keras/nothing"]])
def test_what_cannot_be_meant_is_wrong_usage(outside: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str]) -> None:
    """Nothing to export, two answers, a list that is none, a name that nothing has: exit code 2."""
    (tmp_path / "README.md").write_text("hello\n")
    given = [str(tmp_path / one) if one == "README.md" else one for one in arguments]
    assert here(monkeypatch, outside, "export", str(tmp_path / "a.tar"), *given) == 2
    assert not (tmp_path / "a.tar").exists()


# Inside


def test_no_bundle_that_could_not_be_read_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """A list that an import would refuse for its length is refused before it is written, whatever made it so long."""
    monkeypatch.setattr(bag, "MOST_TAG_BYTES", 1000)
    fact = Fact("ref", f"{HOST}/x@main", f"{HOST}/x", 1.0, commit="abc123")
    with pytest.raises(BundleError, match="cannot hold"):
        plan([], facts=lambda: [fact] * 20)
    with pytest.raises(BundleError, match="cannot hold"):
        plan(record(b"", archive(f"/sets/{number}")) for number in range(20))


def test_one_flipped_byte_costs_one_archive(bundle: Path, outside: Store, inside: Store, tmp_path: Path) -> None:
    """The damaged archive is named, nothing else is lost, the exit code is 1; the good bundle brings it afterwards."""
    bad = flipped(bundle, MANY["/sets/3.zip"], tmp_path / "flipped.tar")
    done = run(inside, "import", str(bad))
    assert done.returncode == 1
    assert done.stderr.count(b"failed ") == 1
    assert b"failed   https://data.example.org/sets/3.zip" in done.stderr
    assert current(inside) == {known for known in public(outside) if known.archive.path != "/sets/3.zip"}
    assert run(inside, "import", str(bundle)).returncode == 0
    assert current(inside) == public(outside)


def test_an_import_that_is_killed_goes_on(bundle: Path, outside: Store, inside: Store) -> None:
    """SIGKILL half way loses nothing that was said to be there; the next import writes only the rest, and leaves nothing behind."""
    content = bundle.read_bytes()
    half = content.index(MANY["/sets/5.zip"]) + 30_000
    process = subprocess.Popen(command(inside, "import", "-"), stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=of(inside))
    with process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(content[:half])
        process.stdin.flush()
        said = [process.stdout.readline().decode().split()[1] for _ in range(3)]
        process.send_signal(signal.SIGKILL)
    there = {known.url: inside.blobs.inode(known.sha256) for known in current_beside_leftovers(inside)}
    assert set(said) <= set(there)
    again = run(inside, "import", str(bundle), "--json")
    assert again.returncode == 0
    states = {line["url"]: line["state"] for line in map(json.loads, again.stdout.splitlines())}
    assert {url for url, state in states.items() if state == "present"} == set(there)
    assert current(inside) == public(outside)
    assert {url: inside.blobs.inode(known.sha256) for known in current(inside) if (url := known.url) in there} == there


def current_beside_leftovers(store: Store) -> list[Record]:
    return [known for known in map(store.find, [archive(path) for path in MANY] + ODD) if known]


def test_imports_at_once_do_no_harm(bundle: Path, outside: Store, inside: Store) -> None:
    """Two imports of the same bundle beside each other both end well, and everything is there once."""
    both = [subprocess.Popen(command(inside, "import", str(bundle)), stdout=subprocess.DEVNULL, env=of(inside)) for _ in range(2)]
    assert [each.wait(PATIENCE) for each in both] == [0, 0]
    assert current(inside) == public(outside)
    totals = inside.index.counters()
    assert (totals["archives"], totals["blob_bytes"]) == (len(current(inside)), sum(size for _, size in inside.blobs))


def test_a_folder_of_bundles_is_taken(outside: Store, inside: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk with several bundles, some unpacked, is one argument."""
    disk = tmp_path / "disk"
    disk.mkdir()
    one, other = ([record(MANY[path], archive(path), fetched=1e9) for path in paths] for paths in (["/sets/0.zip"], ["/sets/1.zip"]))
    (disk / "one.tar").write_bytes(exported(outside, one))
    (tmp_path / "other.tar").write_bytes(exported(outside, other))
    shutil.unpack_archive(tmp_path / "other.tar", disk)
    assert here(monkeypatch, inside, "import", str(disk)) == 0
    assert current(inside) == {*one, *other}


def test_a_bundle_that_is_none_does_not_stop_the_others(bundle: Path, outside: Store, inside: Store, tmp_path: Path) -> None:
    """Of several bundles one that cannot be read is named, with exit code 1, and the others are taken."""
    (tmp_path / "bad.tar").write_bytes(b"hello")
    done = run(inside, "import", str(tmp_path / "bad.tar"), str(bundle))
    assert done.returncode == 1
    assert b"bad.tar" in done.stderr
    assert current(inside) == public(outside)


def test_a_bundle_that_is_not_there_is_wrong_usage(inside: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that does not exist, or a folder without bundles, is said at once."""
    assert here(monkeypatch, inside, "import", str(tmp_path / "none.tar")) == 2
    assert here(monkeypatch, inside, "import", str(tmp_path)) == 2


def test_a_live_server_serves_what_was_imported(bundle: Path, tmp_path: Path) -> None:
    """Beside a server that is offline the archive is there as soon as it was imported, and a server that starts meanwhile does no harm."""
    with Mirror(tmp_path / "data", offline=True, **SETTINGS) as mirror:
        assert mirror.archive("/sets/2.zip").status == 504
        store = Store(mirror.data)
        assert run(store, "import", str(bundle)).returncode == 0
        store.close()
        answer = mirror.archive("/sets/2.zip")
        assert (answer.status, answer.body) == (200, MANY["/sets/2.zip"])
