"""The preset `tfds`: the URLs that TensorFlow Datasets registers, with size and SHA-256 (its `checksums` files)."""

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from dataset_mirror.errors import MirrorError
from dataset_mirror.origins.identity import parse_url
from dataset_mirror.origins.presets.source.writing import Folder, Loads, Made, Row, files_below, package, run

ABOUT = "TensorFlow Datasets: what tfds.load and download_and_prepare fetch, named as the data sets are (tfds/mnist)"
NOTE = (
    "From TFDS 4.9.10. Left out: 9 ftp URLs, which no HTTP client asks a mirror for. Files of Google Drive are fetched only with the"
    " preset gdrive. Data sets that TFDS prepared already lie at storage.googleapis.com/tfds-data, which TFDS reads through its own"
    " client: use try_gcs=False."
)

LOADS = [Loads(f"tensorflow_datasets.{function}", "name", "", ["tfds/{name}"]) for function in ("load", "builder", "data_source")]


def make(wheel: Path | None) -> Made | None:
    root = package("tensorflow_datasets", wheel)
    return Made(ABOUT, NOTE, list(rows(root)), loads=LOADS) if root else None


def rows(root: Folder) -> Iterator[Row]:
    """Every registered URL that a mirror can have."""
    for file in files_below(root):
        if name := dataset_of(file):
            for line in file.read_text(encoding="utf-8").splitlines():
                if row := row_of(line, name):
                    yield row


def dataset_of(file: Folder) -> str:
    """The data set whose checksums a file has; empty if it has none."""
    folder = str(file).split("/")[-2]
    if folder == "url_checksums" and file.name.endswith(".txt"):
        return file.name.removesuffix(".txt")
    return folder if file.name.startswith("checksum") and file.name.endswith(".tsv") else ""


def row_of(line: str, name: str) -> Row | None:
    """`URL <tab> SIZE <tab> SHA256 …`, or with spaces between. None for a comment, or for a URL that is neither http nor https."""
    fields = line.split("\t") if "\t" in line else line.split()
    if len(fields) < 3 or not fields[0].startswith(("http://", "https://")):
        return None
    try:
        parse_url(fields[0])
    except MirrorError:
        return None
    return Row(fields[0], f"tfds/{name}", int(fields[1]) if fields[1].isdecimal() else None, fields[2].strip())


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit status."""
    return run("tfds", make, arguments)


if __name__ == "__main__":
    sys.exit(main())
