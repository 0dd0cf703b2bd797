"""Whether an answer can be the archive that was asked for."""

import gzip
import io
import zipfile
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dataset_mirror.rules.content import LOOK, decoder, encoding_is_the_file, page_instead, wrong_magic

PAGE = b"<!DOCTYPE html><html><body>Please log in</body></html>"
HDF5 = b"\x89HDF\r\n\x1a\n" + bytes(8)


def _zipped() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("a.txt", "a")
    return file.getvalue()


@pytest.mark.parametrize(
    ("name", "content_type", "refused"),
    [
        pytest.param("mnist.npz", "text/html", True, id="a page instead of an archive"),
        pytest.param("mnist.npz", "Text/HTML; charset=utf-8", True, id="with parameters, in capitals"),
        pytest.param("data", "application/xhtml+xml", True, id="xhtml for a bare name"),
        pytest.param("index.html", "text/html", False, id="a page was asked for"),
        pytest.param("INDEX.HTM", "text/html", False, id="a page in capitals"),
        pytest.param("mnist.npz", "application/octet-stream", False, id="bytes"),
        pytest.param("labels.txt", "text/plain", False, id="plain text"),
        pytest.param("mnist.npz", None, False, id="no Content-Type"),
        pytest.param("mnist.npz", "", False, id="empty Content-Type"),
    ],
)
def test_page_instead(name: str, content_type: str | None, refused: bool) -> None:
    """A web page is refused, with its type named, unless a page was asked for."""
    reason = page_instead(name, content_type)
    assert (reason is not None) is refused
    assert reason is None or str(content_type) in reason


@pytest.mark.parametrize(
    ("name", "beginning"),
    [
        pytest.param("a.tar.gz", gzip.compress(b"a"), id="gzip"),
        pytest.param("a.npz", _zipped(), id="npz"),
        pytest.param("a.zip", b"PK\x05\x06" + bytes(18), id="zip without files"),
        pytest.param("A.ZIP", _zipped(), id="suffix in capitals"),
        pytest.param("a.h5", HDF5, id="hdf5"),
        pytest.param("a.h5", HDF5[:3], id="fewer bytes than the magic"),
        pytest.param("a.gz", b"", id="nothing yet"),
        pytest.param("a.csv", PAGE, id="a type without magic"),
        pytest.param("README", PAGE, id="no suffix"),
        pytest.param("", PAGE, id="no name"),
    ],
)
def test_right_magic(name: str, beginning: bytes) -> None:
    """Bytes that a file of that name can begin with are not refused."""
    assert wrong_magic(name, beginning[:LOOK]) is None


@pytest.mark.parametrize(
    "name", ["a.gz", "a.tgz", "a.zip", "a.npz", "a.keras", "a.whl", "a.h5", "a.hdf5", "a.npy", "a.bz2", "a.xz", "a.7z"]
)
def test_wrong_magic_says_what_it_saw(name: str) -> None:
    """A login page under an archive's name is refused; the reason has its first bytes and the suffix."""
    reason = wrong_magic(name, PAGE)
    assert reason is not None
    assert repr(PAGE[:8]) in reason
    assert name[1:] in reason


@pytest.mark.parametrize(
    ("name", "beginning", "kept"),
    [
        pytest.param("a.tar.gz", gzip.compress(b"a"), True, id="Apache's x-gzip for a .tar.gz"),
        pytest.param("a.npz", _zipped(), True, id="a label on an npz"),
        pytest.param("a.npz", gzip.compress(_zipped()), False, id="an npz that really is compressed"),
        pytest.param("a.csv", gzip.compress(b"a"), False, id="a csv that really is compressed"),
        pytest.param("a.h5", HDF5, False, id="a type that is not compressed itself"),
    ],
)
def test_encoding_is_the_file(name: str, beginning: bytes, kept: bool) -> None:
    """The wire bytes are the archive if their magic fits a compressed type's name, else they are to be decoded."""
    assert encoding_is_the_file(name, beginning) is kept


@settings(deadline=None)
@given(st.binary(max_size=2000), st.integers(1, 50))
def test_decoders_undo_their_encoding(data: bytes, step: int) -> None:
    """gzip, x-gzip and deflate are decoded, in whatever steps the bytes come."""
    for name, encoded in (("gzip", gzip.compress(data)), ("x-gzip", gzip.compress(data)), ("deflate", zlib.compress(data))):
        make = decoder(name)
        assert make is not None
        stream = make()
        assert b"".join(stream.decompress(encoded[at : at + step]) for at in range(0, len(encoded), step)) + stream.flush() == data


@pytest.mark.parametrize("name", ["br", "zstd", "identity", "", "gzip, gzip"])
def test_unknown_encodings_have_no_decoder(name: str) -> None:
    """An encoding that we cannot decode is told apart, not guessed."""
    assert decoder(name) is None
