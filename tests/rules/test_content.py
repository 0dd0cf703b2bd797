"""Whether an answer can be the archive that was asked for."""

import gzip
import io
import zipfile
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dataset_mirror.rules.codings import coding, decoder
from dataset_mirror.rules.content import LOOK, contradiction, encoding_is_the_file, is_genuinely_empty, page_instead, wrong_magic

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
        pytest.param("download.php", "text/html", True, id="a page instead of a download"),
        pytest.param("a.xml", "text/html", True, id="a page instead of XML"),
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
        pytest.param("a.h5", HDF5, True, id="a label that is a lie"),
        pytest.param("a.h5", gzip.compress(HDF5), False, id="a type that is not compressed itself"),
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


@pytest.mark.parametrize(
    ("field", "meant"),
    [
        (None, None),
        ("", None),
        ("identity", None),
        ("GZIP", "gzip"),
        ("x-gzip", "gzip"),
        ("gzip, identity", "gzip"),
        ("identity,gzip", "gzip"),
        ("aws-chunked", None),
        ("aws-chunked,gzip", "gzip"),
        ("utf-8", None),
        ("UTF8", None),
        ("binary", None),
        ("none", None),
        (" , ", None),
        ('"gzip"', "gzip"),
        ("br", "br"),
        ("zstd", "zstd"),
        ("gzip, br", "gzip, br"),
    ],
)
def test_codings_are_a_list_of_tokens(field: str | None, meant: str | None) -> None:
    """Tokens in any case and order, of which some mean nothing for the bytes."""
    assert coding(field) == meant


LOGIN = "<html><head><title>Sign in</title></head><body>Please log in</body></html>"
ERRORS: dict[str, bytes] = {
    "a page": PAGE,
    "in capitals": LOGIN.upper().encode(),
    "after a mark": b"\xef\xbb\xbf" + PAGE,
    "after blanks": b"\r\n \t\n" + PAGE,
    "after a comment": b"<!-- generated by\n a proxy -->\n" + LOGIN.encode(),
    "after an XML declaration": b'<?xml version="1.0" encoding="UTF-8"?>\n' + LOGIN.encode(),
    "in UTF-16": LOGIN.encode("utf-16"),
    "in UTF-16 without a mark": LOGIN.encode("utf-16-be"),
    "a script that leads elsewhere": b"<script>window.location='/login'</script>",
    "S3": b'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>',
    "Google Cloud Storage": b"<?xml version='1.0' encoding='UTF-8'?><Error><Code>NoSuchKey</Code></Error>",
    "JSON": b'{"error": {"code": 403, "message": "Forbidden"}}',
    "JSON in lines": b'{\n  "message": "Not Found",\n  "documentation_url": "https://docs"\n}',
}
DATA = ["a.zip", "a.npz", "a.tar.gz", "a.tar", "a.h5", "a.pt", "a.pth", "a.pkl", "a.mat", "a.bin", "a.safetensors", "a.gguf", "a.parquet"]


@pytest.mark.parametrize("error", ERRORS.values(), ids=ERRORS)
@pytest.mark.parametrize("name", DATA)
def test_an_error_in_the_place_of_data_is_refused(name: str, error: bytes) -> None:
    """Pages and error messages are told from data by their bytes, whatever their label says."""
    assert contradiction(name, "application/octet-stream", error) is not None


@pytest.mark.parametrize("error", [error for case, error in ERRORS.items() if "JSON" not in case])
@pytest.mark.parametrize("name", ["a.csv", "a.json", "a.txt", "README", ""])
def test_a_page_in_the_place_of_text_is_refused(name: str, error: bytes) -> None:
    """Text may be anything, but not a page or a storage service's error message."""
    assert contradiction(name, "text/plain", error) is not None


@pytest.mark.parametrize(
    ("name", "content_type", "beginning"),
    [
        pytest.param("a.npz", "text/html", _zipped(), id="a wrong label on right bytes"),
        pytest.param("a.json", "application/json", b'{"error": 0.5, "message": "a row"}', id="JSON that was asked for"),
        pytest.param("errors", "application/json", b'{"error": 0.5}', id="JSON under a bare name"),
        pytest.param("a.html", "text/html", PAGE, id="a page that was asked for"),
        pytest.param("a.xml", "text/xml", ERRORS["S3"], id="XML that was asked for"),
        pytest.param("a.csv", "text/csv", b"<tag>,text\n", id="a table with markup in it"),
        pytest.param("a.txt", "text/plain", b"<htmlish> words", id="a word that begins like a tag"),
    ],
)
def test_what_may_be_right_is_not_refused(name: str, content_type: str, beginning: bytes) -> None:
    """Right bytes count more than a wrong label, and what was asked for is no error."""
    assert contradiction(name, content_type, beginning) is None


@pytest.mark.parametrize(
    ("content_type", "has_validator", "genuine"),
    [("application/octet-stream", True, True), (None, True, True), ("text/html", True, False), ("text/plain", False, False)],
)
def test_an_empty_file(content_type: str | None, has_validator: bool, genuine: bool) -> None:
    """An empty answer is a file if the origin knows it by a validator and does not call it a page."""
    assert is_genuinely_empty("__init__.py", content_type, has_validator=has_validator) is genuine


def test_many_comments_are_read_once() -> None:
    """What an origin sends cannot make the guard try for ever."""
    assert contradiction("a.bin", None, b"<!---->" * 1200) is None
    assert contradiction("a.bin", None, b"<!-- a -->" * 800 + b"<html>") is not None


@settings(deadline=None)
@given(st.text(max_size=20), st.none() | st.text(max_size=20), st.binary(max_size=600))
def test_no_name_and_no_bytes_make_it_fail(name: str, content_type: str | None, beginning: bytes) -> None:
    """Any name, label and bytes are judged without an error."""
    assert contradiction(name, content_type, beginning) is None or contradiction(name, content_type, beginning)
    assert encoding_is_the_file(name, beginning) in (True, False)
    assert coding(content_type) is None or coding(content_type)
