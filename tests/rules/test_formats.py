"""The commonest formats of datasets and weights, as their own tools write them: none is taken for an error."""

import bz2
import csv
import gzip
import io
import json
import lzma
import pickle
import sqlite3
import struct
import tarfile
import wave
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import scipy.io

from dataset_mirror.rules.content import LOOK, contradiction

MADE = Path(__file__).parents[1] / "data" / "formats"
"""Small files of tools that are too large to be installed for this: pyarrow, zstandard, lz4, fastavro, safetensors, py7zr, Pillow, gguf."""
TEXT = "a,b\n1,2\n"


def zipped(mode: int = zipfile.ZIP_DEFLATED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", mode) as archive:
        archive.writestr("a.csv", TEXT)
    return file.getvalue()


def tarred(mode: Any, form: int = tarfile.PAX_FORMAT) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode=mode, format=form) as archive:
        member = tarfile.TarInfo("a.csv")
        member.size = len(TEXT)
        archive.addfile(member, io.BytesIO(TEXT.encode()))
    return file.getvalue()


def tar_v7() -> bytes:
    """As tar wrote before POSIX: no magic, only a sum."""
    block = bytearray(tarred("w", tarfile.USTAR_FORMAT))
    block[257:512] = bytes(255)
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block[:512])
    return bytes(block)


def hdf5(userblock: int = 0) -> bytes:
    file = io.BytesIO()
    with h5py.File(file, "w", userblock_size=userblock) as archive:
        archive["a"] = [1, 2]
    written = bytearray(file.getvalue())
    written[: min(userblock, 12)] = b"MATLAB 7.3 M"[:userblock]
    return bytes(written)


def numpy_saved(save: Callable[..., None], **arrays: object) -> bytes:
    file = io.BytesIO()
    save(file, **arrays)
    return file.getvalue()


def matlab(form: str) -> bytes:
    file = io.BytesIO()
    scipy.io.savemat(file, {"a": np.zeros(2)}, format=form)
    return file.getvalue()


def sqlite() -> bytes:
    with sqlite3.connect(":memory:") as connection:
        connection.execute("CREATE TABLE a (b)")
        return connection.serialize()


def sound() -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as written:
        written.setparams((1, 1, 8000, 1, "NONE", ""))
        written.writeframes(b"\0")
    return file.getvalue()


def table() -> bytes:
    file = io.StringIO()
    csv.writer(file).writerows([["text", "label"], ["<b>bold</b>", 1]])
    return file.getvalue().encode()


def pickled(protocol: int) -> bytes:
    return pickle.dumps({"data": [1, 2]}, protocol)


def tfrecord() -> bytes:
    return struct.pack("<QI", 5, 0) + b"\n\x03abc" + struct.pack("<I", 0)


IDX = struct.pack(">IIII", 0x803, 1, 2, 2) + bytes(4)
LEGACY_TORCH = pickle.dumps(0x1950A86A20F9469CFC6C, 2) + pickle.dumps(1001, 2)
SELF_EXTRACTING = b"#!/bin/sh\nexec unzip $0\n" + zipped()


def files() -> Iterator[tuple[str, bytes]]:
    """Names as people give them, and what is in them."""
    yield from [("a.zip", zipped()), ("a.zip", zipped(zipfile.ZIP_STORED)), ("a.zip", b"PK\x05\x06" + bytes(18))]
    yield from [("spanned.zip", b"PK\x07\x08" + zipped()), ("shell.zip", SELF_EXTRACTING), ("windows.zip", b"MZ" + bytes(500) + zipped())]
    yield from [("a.whl", zipped()), ("a.keras", zipped()), ("old.keras", hdf5()), ("a.egg", zipped()), ("a.jar", zipped())]
    yield from [("a.tar.gz", tarred("w:gz")), ("a.tgz", tarred("w:gz")), ("a.tar.bz2", tarred("w:bz2")), ("a.tar.xz", tarred("w:xz"))]
    yield from [("pax.tar", tarred("w")), ("gnu.tar", tarred("w", tarfile.GNU_FORMAT)), ("v7.tar", tar_v7()), ("empty.tar", bytes(10240))]
    yield from [("compressed.tar", tarred("w:gz")), ("a.csv.gz", gzip.compress(table())), ("members.gz", gzip.compress(b"a") * 2)]
    yield from [("a.bz2", bz2.compress(b"a")), ("empty.bz2", bz2.compress(b"")), ("a.xz", lzma.compress(b"a"))]
    yield from [("a.lzma", lzma.compress(b"a", lzma.FORMAT_ALONE)), ("words.Z", b"\x1f\x9d\x90a")]
    yield from [("a.zst", (MADE / "frame.zst").read_bytes()), ("skippable.tar.zst", (MADE / "skippable.zst").read_bytes())]
    yield from [("a.lz4", (MADE / "frame.lz4").read_bytes()), ("a.7z", (MADE / "files.7z").read_bytes())]
    yield from [("a.npy", numpy_saved(np.save, arr=np.zeros(2))), ("a.npz", numpy_saved(np.savez, a=np.zeros(2)))]
    yield from [("packed.npz", numpy_saved(np.savez_compressed, a=np.zeros(2))), ("mislabelled.npz", numpy_saved(np.save, arr=np.zeros(2)))]
    yield from [(f"user-{size}.h5", hdf5(size)) for size in (0, 512, 1024, 2048, 4096, 8192)]
    yield from [("a.hdf5", hdf5()), ("v5.mat", matlab("5")), ("v4.mat", matlab("4")), ("v7.3.mat", hdf5(512)), ("a.nc", hdf5())]
    yield from [("a.parquet", (MADE / "table.parquet").read_bytes()), ("encrypted.parquet", b"PARE" + bytes(20))]
    yield from [("a.feather", (MADE / "table.feather").read_bytes()), ("a.arrow", (MADE / "stream.arrow").read_bytes())]
    yield from [("a.orc", (MADE / "table.orc").read_bytes()), ("a.avro", (MADE / "table.avro").read_bytes())]
    yield from [("a.safetensors", (MADE / "weights.safetensors").read_bytes()), ("a.gguf", (MADE / "model.gguf").read_bytes())]
    yield from [("a.pt", zipped()), ("legacy.pth", LEGACY_TORCH), ("pytorch_model.bin", zipped()), ("a.ckpt", pickled(2))]
    yield from [(f"protocol-{protocol}.pkl", pickled(protocol)) for protocol in range(6)]
    yield from [
        ("a.pickle", gzip.compress(pickled(4))),
        ("a.joblib", pickled(4)),
        ("a.tfrecord", tfrecord()),
        ("train-images-idx3-ubyte", IDX),
    ]
    yield from [
        ("a.sqlite", sqlite()),
        ("a.db", sqlite()),
        ("a.wav", sound()),
        ("a.pb", b"\n\x03abc"),
        ("a.onnx", b"\x08\x08\x12\x07pytorch"),
    ]
    yield from [(f"a.{kind}", (MADE / f"pixel.{kind}").read_bytes()) for kind in ("jpg", "png", "webp", "tif")]
    yield from [("a.csv", table()), ("a.tsv", b"a\tb\n"), ("bom.csv", b"\xef\xbb\xbf" + table()), ("utf16.csv", TEXT.encode("utf-16"))]
    yield from [("a.json", json.dumps({"message": "a row", "error": 1}).encode()), ("a.jsonl", b'{"detail": 1}\n{"detail": 2}\n')]
    yield from [("a.geojson", b'{"type": "FeatureCollection", "features": []}'), ("topology.topojson", b'{"type": "Topology"}')]
    yield from [
        ("a.txt", b"<s> a sentence </s>\n"),
        ("a.arff", b"@relation a\n"),
        ("a.libsvm", b"1 1:0.5\n"),
        ("glove.txt", b"the 0.1 0.2\n"),
    ]
    yield from [
        ("a.xml", b"<?xml version='1.0'?><annotation/>"),
        ("a.svg", b"<svg/>"),
        ("index.html", b"<!doctype html>"),
        ("a.yaml", b"a: 1\n"),
    ]
    yield from [("12345678", zipped()), ("README", b"# A set\n"), ("vocab.bpe", b"#version: 0.2\n"), ("spiece.model", b"\n\x0e\n\x05<unk>")]


FILES = list(files())


@pytest.mark.parametrize(("name", "data"), FILES, ids=[f"{number}-{name}" for number, (name, _) in enumerate(FILES)])
def test_a_right_file_is_not_refused(name: str, data: bytes) -> None:
    """Whatever its origin calls it, a file that its own tool wrote is taken, from its first bytes on."""
    assert contradiction(name, "application/octet-stream", data[:LOOK]) is None


def test_there_are_forty_formats() -> None:
    """The table has at least forty kinds of files, by their suffix."""
    assert len({name.lower().rpartition(".")[2] for name, _ in FILES}) >= 40
