"""Right archives are never taken for an error, and errors never for an archive: the guard, as clients meet it."""

import gzip
import hashlib
import io
import zipfile

import pytest

from tests.conftest import StartMirror
from tests.origin import ERROR_PAGE, Origin, body
from tests.serving import URL, Mirror

SMALL = body(40_000)
PAGE = b"<!DOCTYPE html><html>a page that somebody wants</html>"
PACKED = gzip.compress(SMALL, mtime=0)
ERROR = b'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>AccessDenied</Code></Error>'
CATALOG: list[dict[str, object]] = [
    {"url": f"{URL}/sets/page.npz", "sha256": hashlib.sha256(PAGE).hexdigest()},
    {"url": f"{URL}/sets/page-size.npz", "size": len(PAGE)},
    {"url": f"{URL}/sets/odd.h5", "size": len(SMALL)},
    {"url": f"{URL}/sets/md5.zip", "md5": hashlib.md5(SMALL).hexdigest()},
    {"url": f"{URL}/sets/empty.txt", "size": 0},
    {"url": f"{URL}/sets/empty.html", "sha256": hashlib.sha256(b"").hexdigest()},
    {"url": f"{URL}/sets/encoded-page.npz", "sha256": hashlib.sha256(PAGE).hexdigest()},
    {"url": f"{URL}/sets/wrong.npz", "size": len(PAGE) + 1},
]


@pytest.fixture(scope="module")
def shared(start_shared_mirror: StartMirror) -> Mirror:
    return start_shared_mirror(archives=CATALOG)


def zipped() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("a", SMALL)
    return file.getvalue()


@pytest.mark.parametrize(
    ("name", "data", "served"),
    [
        pytest.param("page.npz", PAGE, {"content_type": "text/html"}, id="a page with the catalog's digest"),
        pytest.param("page-size.npz", PAGE, {"content_type": "text/html"}, id="a page with the catalog's size"),
        pytest.param("odd.h5", SMALL, {}, id="an odd beginning with the catalog's size"),
        pytest.param("md5.zip", SMALL, {}, id="an odd beginning with the catalog's MD5"),
        pytest.param("empty.txt", b"", {"etag": None}, id="nothing, as the catalog's size has it"),
        pytest.param("empty.html", b"", {"etag": None, "content_type": "text/html"}, id="nothing, as the catalog's digest has it"),
        pytest.param("encoded-page.npz", PAGE, {"gzip": "encode"}, id="an encoded page with the catalog's digest"),
        pytest.param("__init__.py", b"", {}, id="an empty file that its origin knows by a tag"),
        pytest.param("dated.txt", b"", {"etag": None, "last_modified": "Wed, 01 May 2024 10:00:00 GMT"}, id="or by a date"),
        pytest.param("typed.npz", zipped(), {"content_type": "text/html; charset=utf-8"}, id="a wrong type on right bytes"),
        pytest.param("user.h5", b"mine".ljust(512) + b"\x89HDF\r\n\x1a\n" + SMALL, {}, id="HDF5 behind a user block"),
        pytest.param("stub.zip", b"#!/bin/sh\n" + zipped(), {}, id="a ZIP that unpacks itself"),
        pytest.param("plain.bin", SMALL, {"content_encoding": "utf-8"}, id="a coding that is a charset"),
        pytest.param("chunked.bin", SMALL, {"content_encoding": "aws-chunked"}, id="a coding of uploads"),
        pytest.param("listed.tar.gz", PACKED, {"content_encoding": "x-gzip, identity"}, id="a list of codings that describes the file"),
        pytest.param("lie.npz", zipped(), {"content_encoding": "gzip"}, id="a coding that is a lie"),
    ],
)
def test_a_right_archive_is_kept(shared: Mirror, shared_origin: Origin, name: str, data: bytes, served: dict[str, object]) -> None:
    """What is vouched for is judged by that alone; what is not, by its bytes more than by its labels. Miss, hit and HEAD agree."""
    path = f"/sets/{name}"
    shared_origin.add(path, data)
    shared_origin.change(path, **served)
    for answer in (shared.archive(path), shared.archive(path)):
        assert (answer.status, answer.body, answer.fields["content-length"]) == (200, data, str(len(data)))
    assert shared.head(path).fields["content-length"] == str(len(data))
    assert len(shared_origin.gets(path)) == 1


def test_an_empty_archive_has_no_ranges(shared: Mirror, shared_origin: Origin) -> None:
    """Cold or stored, a range of nothing is 416, and the whole is nothing."""
    shared_origin.add("/sets/nothing.txt", b"")
    for answer in (shared.archive("/sets/nothing.txt", range="bytes=0-") for _ in range(2)):
        assert (answer.status, answer.fields["content-range"]) == (416, "bytes */0")
    assert (shared.archive("/sets/nothing.txt").status, shared.archive("/sets/nothing.txt").body) == (200, b"")


def test_a_listed_coding_is_decoded(shared: Mirror, shared_origin: Origin) -> None:
    """Tokens that mean nothing beside one that does are passed over."""
    shared_origin.add("/sets/listed.bin", PACKED, content_encoding="identity, gzip")
    assert shared.archive("/sets/listed.bin").body == SMALL


@pytest.mark.parametrize(
    ("name", "data", "content_type"),
    [
        ("page.csv", ERROR_PAGE, "text/csv"),
        ("login.tar", b"\n<!-- proxy -->\n<HTML><body>Sign in</body></HTML>", "application/x-tar"),
        ("denied.bin", ERROR, "application/xml"),
        ("denied.zip", ERROR, "application/zip"),
        ("wide.pt", ERROR_PAGE.decode().encode("utf-16"), "application/octet-stream"),
        ("gone.safetensors", b'{"error": "Not Found"}', "application/json"),
        ("gone.tar", b'{"message": "Not Found"}', "application/json"),
        ("empty.csv", b"", "text/html"),
    ],
)
def test_an_error_is_refused_and_the_way_out_is_named(
    shared: Mirror, shared_origin: Origin, name: str, data: bytes, content_type: str
) -> None:
    """An error in place of the archive is a 502 with the lines that would take it as it is; nothing is kept."""
    path = f"/sets/{name}"
    shared_origin.add(path, data, content_type=content_type)
    before = shared.blobs
    problem = shared.archive(path).problem
    assert (problem["status"], problem["type"]) == (502, "urn:dataset-mirror:not-an-archive")
    assert f'[[archives]] url = "{URL}{path}" size = {len(data)}' in problem["hint"]
    assert shared.blobs == before


def test_a_size_that_is_known_is_kept_to(shared: Mirror, shared_origin: Origin) -> None:
    """What is judged by its size alone has to have it."""
    shared_origin.add("/sets/wrong.npz", PAGE)
    assert shared.archive("/sets/wrong.npz").problem["status"] == 502


def test_an_unknown_coding_names_the_way_out(shared: Mirror, shared_origin: Origin) -> None:
    """A body that cannot be decoded is a 502 that says how to keep it as it comes."""
    shared_origin.add("/sets/br.csv", SMALL, content_encoding="br")
    problem = shared.archive("/sets/br.csv").problem
    assert (problem["status"], f'[[archives]] url = "{URL}/sets/br.csv"' in problem["hint"]) == (502, True)
