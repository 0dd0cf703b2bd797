"""Make `keras.toml`, `keras-legacy.toml` and `loaders/keras.tsv` from `keras_catalog.json`.

The catalog has one row for each file that some version of Keras asks for, with the digest and the local path
that this version uses. A preset has one archive for each URL, so the rows of a URL are merged.

    python -m dataset_mirror.origins.presets.source.make            write the presets
    python -m dataset_mirror.origins.presets.source.make --check    exit with 1 if they differ from what would be written
"""

import argparse
import json
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TypedDict, TypeVar

from dataset_mirror.origins.model import CatalogEntry, Origin
from dataset_mirror.origins.presets.source import keras_loads

LOADERS = "loaders/keras.tsv"
"""What calls of Keras ask for."""
CATALOG = Path(__file__).with_name("keras_catalog.json")
PRESETS = Path(__file__).parent.parent
WIDTH = 120
T = TypeVar("T")
HEADER = """\
# Made by app/dataset_mirror/origins/presets/source/make.py from keras_catalog.json. Do not edit: change those and run
# python -m dataset_mirror.origins.presets.source.make
"""


class Row(TypedDict):
    """What the presets need of one row of the catalog; `size` in bytes."""

    name: str
    origin: str
    kind: str
    hash_algo: str | None
    hash: str | None
    size: int | None
    keras_home_path: str


ABOUT = {
    "keras.toml": "Keras: the data sets and weights of keras.datasets and keras.applications (keras/mnist)",
    "keras-legacy.toml": "Keras before 2.6: files at GitHub, Amazon S3 and elsewhere that newer versions do not ask for",
}

GOOGLE = "https://storage.googleapis.com"
FASHION = "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com"

# What Keras does not say of Fashion-MNIST, in bytes and SHA-256: TensorFlow Datasets 4.9.10 registers it for FASHION.
FASHION_FILES = {
    "t10k-images-idx3-ubyte.gz": (4422102, "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073"),
    "t10k-labels-idx1-ubyte.gz": (5148, "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5"),
    "train-images-idx3-ubyte.gz": (26421880, "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84"),
    "train-labels-idx1-ubyte.gz": (29515, "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845"),
}
# Google's label files were downloaded and are the same. Its image files were not compared, so they get no digest.
COMPARED = ("t10k-labels-idx1-ubyte.gz", "train-labels-idx1-ubyte.gz")
KNOWN = {f"{FASHION}/{file}": facts for file, facts in FASHION_FILES.items()}
KNOWN |= {f"{GOOGLE}/tensorflow/tf-keras-datasets/{file}": FASHION_FILES[file] for file in COMPARED}

GOOGLE_PATHS = (
    "/download.tensorflow.org/data/",
    "/keras-applications/",
    "/tensorflow/keras-applications/",
    "/tensorflow/tf-keras-datasets/",
)
GITHUB_RELEASES = (
    "/JonathanCMitchell/mobilenet_v2_keras/releases/download/",
    "/fchollet/deep-learning-models/releases/download/",
    "/keras-team/keras-applications/releases/download/",
    "/titu1994/Keras-NASNet/releases/download/",
)
# GitHub has kept the files of releases at the first host, then at the second; either may be named.
GITHUB_FILES = ("objects.githubusercontent.com", "release-assets.githubusercontent.com")
ORIGINS = {
    "keras.toml": (Origin(url=GOOGLE, paths=GOOGLE_PATHS), Origin(url="https://www.cs.toronto.edu", paths=("/~kriz/",))),
    "keras-legacy.toml": (
        Origin(url="https://github.com", paths=GITHUB_RELEASES, redirects_to=GITHUB_FILES),
        Origin(url="https://s3.amazonaws.com", paths=("/img-datasets/", "/keras-datasets/", "/text-datasets/")),
        Origin(url=FASHION, paths=tuple(f"/{file}" for file in FASHION_FILES)),
    ),
}

# One local path, two contents: who fills a KERAS_HOME must know which of them the client expects.
OTHER_BYTES = "Other bytes than {} under the same local path."
NOTES = {
    "https://s3.amazonaws.com/text-datasets/imdb.npz": OTHER_BYTES.format("keras/imdb"),
    "https://github.com/fchollet/deep-learning-models/releases/download/v0.2/": OTHER_BYTES.format("keras/applications/resnet50"),
}

# The catalog names these rows after a family; the file name says which function of keras.applications asks.
FAMILIES = {"densenet": r"densenet\d+", "mobilenetv3": r"mobilenet_v3_(small|large)", "nasnet": r"nasnet-(mobile|large)"}


def preset_of(url: str) -> str:
    """The preset whose origins answer `url`; ValueError when none does."""
    for preset, origins in ORIGINS.items():
        if any(url.startswith(f"{origin.url}/") and origin.lists(url.removeprefix(origin.url)) for origin in origins):
            return preset
    raise ValueError(f"no origin answers {url}")


def name_of(row: Row) -> str:
    """The name that users type: `keras/...` for what Keras >= 2.6 and tf_keras ask today, else `keras-legacy/...`."""
    legacy = row["kind"] == "weights_legacy" or preset_of(row["origin"]) == "keras-legacy.toml"
    return f"{'keras-legacy' if legacy else 'keras'}/{subject(row)}"


def subject(row: Row) -> str:
    """The data set (with its word index), or `applications/` and the function of `keras.applications` in lower case."""
    module, _, function = row["name"].partition(".")
    if row["kind"] == "dataset":
        return function.partition(".")[0]
    if row["kind"] == "class_index":
        return "applications/imagenet_class_index"
    if row["name"] == "applications.resnet50":
        # keras.applications.resnet.ResNet50 of Keras 2.3; its keras.applications.ResNet50 is another file.
        return "applications/resnet.resnet50"
    return f"{module}/{architecture(function.lower(), row['origin'])}"


def architecture(function: str, url: str) -> str:
    """`function`, or the one that the file name of `url` tells where the catalog only knows the family."""
    if function not in FAMILIES:
        return function
    found = re.search(FAMILIES[function], url.rpartition("/")[2].lower())
    if found is None:
        raise ValueError(f"no function of {function} in {url}")
    return re.sub("[-_]", "", found[0])


def merged(url: str, rows: Sequence[Row]) -> CatalogEntry:
    """The archive of all rows of `url`; a row without digest or size takes nothing away. ValueError when they disagree."""
    size, sha256 = KNOWN.get(url, (None, None))
    return CatalogEntry(
        url=url,
        name=the_one(name_of(row) for row in rows) or "",
        sha256=unique(*(row["hash"] for row in rows if row["hash_algo"] == "sha256"), sha256),
        md5=unique(*(row["hash"] for row in rows if row["hash_algo"] == "md5")),
        size=the_one([*(row["size"] for row in rows), size]),
        keras_home=unique(*(row["keras_home_path"] for row in rows)),
        note=next((note for prefix, note in NOTES.items() if url.startswith(prefix)), ""),
    )


def unique(*values: T | None) -> tuple[T, ...]:
    """The values, each once and in this order, without None."""
    return tuple(dict.fromkeys(value for value in values if value is not None))


def the_one(values: Iterable[T | None]) -> T | None:
    """The only value that is not None, or None; ValueError when there are several."""
    found = unique(*values)
    if len(found) > 1:
        raise ValueError(f"the rows of one URL disagree: {found}")
    return found[0] if found else None


def archives() -> list[CatalogEntry]:
    """All archives of the catalog: data sets before weights, legacy last, else by name and then as in the catalog."""
    by_url: dict[str, list[Row]] = {}
    for row in json.loads(CATALOG.read_text(encoding="utf-8")):
        by_url.setdefault(row["origin"], []).append(row)
    found = [merged(url, rows) for url, rows in by_url.items()]
    return sorted(found, key=lambda archive: (archive.name.startswith("keras-legacy/"), "/applications/" in archive.name, archive.name))


def block(table: str, entry: Origin | CatalogEntry) -> Iterator[str]:
    """The lines of one TOML table, without keys that are as by default. JSON writes our values as TOML does."""
    yield f"\n[[{table}]]"
    for key, value in entry.model_dump(exclude_defaults=True).items():
        if key in ("sha256", "md5") and len(value) == 1:
            yield f"{key} = {json.dumps(value[0])}"
        elif len(dumped := json.dumps(value)) > WIDTH and isinstance(value, tuple):
            yield f"{key} = {json.dumps(value, indent=4)}"
        else:
            yield f"{key} = {dumped}"


def text(preset: str) -> str:
    """The whole file `preset`."""
    lines = [line for origin in ORIGINS[preset] for line in block("origins", origin)]
    lines += [line for archive in archives() if preset_of(archive.url) == preset for line in block("archives", archive)]
    return f"{HEADER}about = {json.dumps(ABOUT[preset])}\n" + "\n".join(lines) + "\n"


def main(arguments: Sequence[str] | None = None, folder: Path = PRESETS) -> int:
    """Write the presets into `folder`, or with `--check` only compare; the exit status."""
    parser = argparse.ArgumentParser(description="Make the Keras presets from keras_catalog.json.")
    parser.add_argument("--check", action="store_true", help="write nothing; exit with 1 if a preset is not up to date")
    check = parser.parse_args(arguments).check
    status = 0
    for preset in (*ORIGINS, LOADERS):
        file, made = folder / preset, keras_loads.text(archives()) if preset == LOADERS else text(preset)
        if not check:
            file.parent.mkdir(exist_ok=True)
            file.write_text(made, encoding="utf-8")
        elif not file.is_file() or file.read_text(encoding="utf-8") != made:
            sys.stderr.write(f"{preset} is not what make.py makes: run python -m dataset_mirror.origins.presets.source.make\n")
            status = 1
    return status


if __name__ == "__main__":
    sys.exit(main())
