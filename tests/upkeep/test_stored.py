"""Which stored archives a name, a URL or a glob means; removing them."""

import json
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from dataset_mirror.errors import UsageError
from dataset_mirror.origins.identity import parse_url
from dataset_mirror.origins.model import CatalogEntry
from dataset_mirror.origins.table import Origins
from dataset_mirror.store.index import Index
from dataset_mirror.upkeep.stored import select_stored
from tests.origin import Origin, body
from tests.serving import HOST, PATIENCE, URL, Mirror
from tests.store import record

URLS = [f"{URL}/sets/{name}" for name in ("a.zip", "b.zip", "deep/a.zip", "[x].zip")]
ORIGINS = Origins([], archives=[CatalogEntry(url=url, name="sets/ab") for url in URLS[:2]] + [CatalogEntry(url=f"{URL}/c", name="sets/c")])


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Index]:
    index = Index(f"sqlite:///{tmp_path_factory.mktemp('index') / 'index.db'}")
    with index.transaction() as writing:
        for url in URLS:
            writing.publish(record(url.encode(), parse_url(url)), used=1.0)
    yield index
    index.close()


@pytest.mark.parametrize(
    ("wanted", "meant"),
    [
        (["sets/ab"], [0, 1]),
        (["sets/*"], [0, 1]),
        ([URLS[0]], [0]),
        (["http://data.example.org/sets/a.zip"], [0]),
        (["data.example.org/sets/b.zip"], [1]),
        ([f"{URL}/sets/*"], [0, 1, 2, 3]),
        ([f"{URL}/sets/?.zip"], [0, 1]),
        (["data.example.org/*/a.zip"], [0, 2]),
        ([URLS[3]], [3]),
        ([URLS[0], "sets/ab", URLS[0]], [0, 1]),
    ],
)
def test_what_is_meant(index: Index, wanted: list[str], meant: list[int]) -> None:
    """Names of the catalog, URLs of any scheme, and globs of either find what is stored, each archive once."""
    found = {line.record.url for line in select_stored(index, ORIGINS, wanted)}
    assert found == {parse_url(URLS[number]) and record(b"", parse_url(URLS[number])).url for number in meant}


@pytest.mark.parametrize("wanted", ["sets/c", "sets/none", f"{URL}/sets/none", f"{URL}/none/*", "*none*", "nothing"])
def test_what_means_nothing(index: Index, wanted: str) -> None:
    """A name that finds nothing is an error that names it, and says how to see what there is."""
    with pytest.raises(UsageError, match="dataset-mirror ls"):
        select_stored(index, ORIGINS, [URLS[0], wanted])


def test_removing(origin: Origin, mirror: Mirror) -> None:
    """POST /api/rm removes what is meant, says what it freed, and the next request is a miss."""
    for name in "ab":
        origin.add(f"/sets/{name}.bin", body(1000, ord(name)))
        mirror.archive(f"/sets/{name}.bin")
    answer = mirror.api("rm", archives=[f"{URL}/sets/a*"])
    told = json.loads(answer.body)
    assert (told["removed"], told["freed"]) == ([{"url": f"{URL}/sets/a.bin", "freed": 1000}], 1000)
    assert len(mirror.blobs) == 1
    assert "fwd=miss" in mirror.archive("/sets/a.bin").fields["cache-status"]
    assert "hit" in mirror.archive("/sets/b.bin").fields["cache-status"]


def test_removing_what_is_being_read(origin: Origin, mirror: Mirror) -> None:
    """A client in the middle of a download gets it to its end."""
    big = body(20_000_000)
    origin.add("/sets/big.bin", big)
    mirror.archive("/sets/big.bin")
    with socket.create_connection(("127.0.0.1", mirror.port), PATIENCE) as reader:
        reader.sendall(f"GET /{HOST}/sets/big.bin HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
        got = reader.recv(1000)
        assert mirror.api("rm", archives=[f"{URL}/sets/big.bin"]).status == 200
        while chunk := reader.recv(1_000_000):
            got += chunk
    assert got.endswith(big)
    assert mirror.blobs == []


def test_removing_nothing(mirror: Mirror, tmp_path: Path) -> None:
    """A selection that means nothing, or has no entry, is a 400."""
    assert mirror.api("rm", archives=["keras/mnist"]).status == 400
    assert mirror.api("rm", archives=[]).status == 400
