"""The Keras presets: made from their source, well-formed, and complete for the installed Keras.

Run as a program, this file prints what the installed Keras asks for. That happens in a process of its own, since it
replaces parts of Keras.
"""

import importlib
import importlib.util
import json
import os
import re
import subprocess
import sys
import tomllib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, redirect_stdout, suppress
from dataclasses import dataclass
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any
from unittest.mock import patch
from zipfile import BadZipFile

import pytest

from dataset_mirror.origins.presets.source import make

PRESETS = {name: tomllib.loads((make.PRESETS / name).read_text(encoding="utf-8")) for name in ("keras.toml", "keras-legacy.toml")}
each_preset = pytest.mark.parametrize("preset", PRESETS.values(), ids=PRESETS)


def listed(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value


# --- made from their source, and well-formed


def test_presets_are_what_their_source_makes() -> None:
    """The presets in the package are what make.py makes of the catalog."""
    assert make.main(["--check"]) == 0


def test_check_names_a_preset_that_lacks_a_row(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`--check` fails and names the preset when a line of it is missing."""
    make.main([], tmp_path)
    legacy = tmp_path / "keras-legacy.toml"
    legacy.write_text(legacy.read_text(encoding="utf-8").replace('name = "keras-legacy/imdb"\n', "", 1), encoding="utf-8")
    assert make.main(["--check"], tmp_path) == 1
    assert capsys.readouterr().err.startswith("keras-legacy.toml is not")


@each_preset
def test_digests_and_sizes_are_well_formed(preset: dict[str, Any]) -> None:
    """Each SHA-256 has 64 hexadecimal digits, each MD5 32, and each size is a positive number of bytes."""
    for archive in preset["archives"]:
        assert all(re.fullmatch("[0-9a-f]{64}", digest) for digest in listed(archive.get("sha256", []))), archive
        assert all(re.fullmatch("[0-9a-f]{32}", digest) for digest in listed(archive.get("md5", []))), archive
        assert archive.get("size", 1) > 0, archive


@each_preset
def test_every_archive_is_answered_by_an_origin_of_its_preset(preset: dict[str, Any]) -> None:
    """Each URL lies under a path of an origin of its preset, https but for one old site; each path has an archive."""
    paths = [origin["url"] + path for origin in preset["origins"] for path in origin["paths"]]
    urls = [archive["url"] for archive in preset["archives"]]
    for url in urls:
        assert any(url.startswith(path) if path.endswith("/") else url == path for path in paths), url
    for path in paths:
        assert any(url.startswith(path) for url in urls), path
        assert path.startswith(("https://", "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/")), path


def test_no_url_is_listed_twice() -> None:
    """Whatever rows of the catalog share a URL have become one archive."""
    urls = Counter(archive["url"] for preset in PRESETS.values() for archive in preset["archives"])
    assert [url for url, times in urls.items() if times > 1] == []


def test_a_name_never_means_two_files_at_one_local_path() -> None:
    """Archives that share a name can all be put into one KERAS_HOME, so can all of the current Keras together."""
    homes: dict[str, list[str]] = defaultdict(list)
    for archive in (archive for preset in PRESETS.values() for archive in preset["archives"]):
        homes[archive["name"]] += archive["keras_home"]
        if archive["name"].startswith("keras/"):
            homes["the current Keras"] += archive["keras_home"]
    assert {name: paths for name, paths in homes.items() if len(set(paths)) < len(paths)} == {}


def test_names_tell_current_from_legacy() -> None:
    """Names are lower-case; `keras/` means today's files and only the preset that is on by default has them."""
    names = {preset: {archive["name"] for archive in PRESETS[preset]["archives"]} for preset in PRESETS}
    assert all(re.fullmatch(r"keras(-legacy)?/(applications/)?[a-z0-9_.]+", name) for both in names.values() for name in both)
    assert all(name.startswith("keras-legacy/") for name in names["keras-legacy.toml"])
    assert {"keras/mnist", "keras/cifar10", "keras/applications/resnet50"} <= names["keras.toml"]


# --- what the installed Keras asks for


@dataclass
class Asked:
    """One file that Keras asked for: for which subject, with which digest, for which path under KERAS_HOME."""

    subject: str
    url: str
    home: str
    digest: str | None = None


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> list[Asked]:
    for module in ("keras", "openvino"):
        if importlib.util.find_spec(module) is None:
            pytest.skip(f"{module} is not installed")
    environment = os.environ | {"KERAS_BACKEND": "openvino", "KERAS_HOME": str(tmp_path_factory.mktemp("keras_home"))}
    command = [sys.executable, "-m", "tests.origins.test_keras_presets"]
    done = subprocess.run(command, cwd=Path(__file__).parents[2], env=environment, stdout=subprocess.PIPE, text=True, check=True)
    return [Asked(**fields) for fields in json.loads(done.stdout)]


def test_presets_have_all_that_the_installed_keras_asks_for(asked: list[Asked]) -> None:
    """Each URL, digest and local path of keras.datasets and keras.applications is in keras.toml under a current name."""
    archives = {archive["url"]: archive for archive in PRESETS["keras.toml"]["archives"] if archive["name"].startswith("keras/")}
    for file in asked:
        archive = archives.get(file.url)
        assert archive is not None, f"keras.toml lacks {file}"
        assert file.digest is None or file.digest in listed(archive.get("sha256", [])) + listed(archive.get("md5", [])), file
        assert archive["keras_home"][0] == file.home, file


def test_names_are_the_functions_that_ask(asked: list[Asked]) -> None:
    """A file has the name of its data set, or of the function of keras.applications in lower case."""
    names = {archive["url"]: archive["name"] for archive in PRESETS["keras.toml"]["archives"]}
    assert [file for file in asked if names[file.url] != f"keras/{file.subject}"] == []


def test_the_comparison_saw_all_variants(asked: list[Asked]) -> None:
    """Data sets of several files, models with and without top, and all sizes of MobileNet were asked for."""
    files = Counter(file.subject for file in asked)
    expected = {"cifar10": 1, "imdb": 2, "fashion_mnist": 4, "applications/resnet50": 2, "applications/mobilenetv3small": 6}
    expected |= {"applications/imagenet_class_index": 1, "applications/mobilenet": 32, "applications/mobilenetv2": 60}
    assert {subject: files[subject] for subject in expected} == expected


# --- asking the installed Keras, in a process of its own


def sizes(sides: Sequence[int], alphas: Sequence[float]) -> list[dict[str, Any]]:
    return [{"alpha": alpha, "input_shape": (side, side, 3)} for alpha, side in product(alphas, sides)]


V3 = [{"alpha": 0.75}, {"alpha": 1.0}, {"alpha": 1.0, "minimalistic": True}]
VARIANTS = {
    "MobileNet": sizes([128, 160, 192, 224], [0.25, 0.5, 0.75, 1.0]),
    "MobileNetV2": sizes([96, 128, 160, 192, 224], [0.35, 0.5, 0.75, 1.0, 1.3, 1.4]),
    "MobileNetV3Large": V3,
    "MobileNetV3Small": V3,
}


class Anything:
    """Stands in for all layers, tensors and models, so that no model is built: minutes for all of them."""

    shape = (None, 8, 8, 8)

    def __getattr__(self, name: str) -> "Anything":
        return self

    def __call__(self, *_: object, **__: object) -> "Anything":
        return self

    __add__ = __mul__ = __call__


def calls(keras: Any) -> Iterator[tuple[str, Callable[[], object]]]:
    """All calls that may ask for a file, each with the subject that its archives should be named after."""
    for name in (name for name in dir(keras.datasets) if not name.startswith("_")):
        loaders = vars(getattr(keras.datasets, name))
        yield from ((name, loaders[loader]) for loader in loaders if loader in ("load_data", "get_word_index"))
    for name in (name for name in dir(keras.applications) if name[0].isupper()):
        for top, variant in product([True, False], VARIANTS.get(name, [{}])):
            yield f"applications/{name.lower()}", partial(getattr(keras.applications, name), include_top=top, **variant)
    scores = importlib.import_module("numpy").zeros((1, 1000))
    yield "applications/imagenet_class_index", partial(keras.applications.imagenet_utils.decode_predictions, scores)


@contextmanager
def no_layers(keras: Any) -> Iterator[None]:
    """Every layer and model class that the modules of keras.applications see is Anything."""
    modules = {value.__module__ for value in vars(keras.applications).values() if callable(value)}
    with ExitStack() as stack:
        for module in map(importlib.import_module, modules):
            for name, value in list(vars(module).items()):
                if name == "layers" or (isinstance(value, type) and issubclass(value, keras.layers.Layer)):
                    stack.enter_context(patch.object(module, name, Anything()))
        yield


def listen(subject: str, call: Callable[[], object], asked: dict[str, Asked]) -> None:
    """Make `call`; Keras itself works out URLs, digests and paths, but its downloads only make empty files.

    RuntimeError when it asks for nothing: then it has failed before it came to its file, and proves nothing.
    """
    before = len(asked)

    def download(url: str, path: str, *_: object) -> None:
        Path(path).touch()
        asked[path] = Asked(subject, url, Path(path).relative_to(os.environ["KERAS_HOME"]).as_posix())

    def validate(path: str, digest: str, **_: object) -> bool:
        asked[path].digest = digest
        return True

    files = importlib.import_module("keras.src.utils.file_utils")
    with (
        patch.multiple(files, urlretrieve=download, validate_file=validate, extract_archive=lambda *_: True),
        # Whoever reads the empty files stumbles, after asking for all of them.
        suppress(OSError, EOFError, ValueError, BadZipFile),
    ):
        call()
    if len(asked) == before:
        raise RuntimeError(f"{subject} did not ask for a file")


def ask() -> list[Asked]:
    """All files that the data sets, the models and the class index of the installed Keras ask for."""
    keras = importlib.import_module("keras")
    asked: dict[str, Asked] = {}
    # Keras reports its downloads on stdout, which is for our result.
    with no_layers(keras), redirect_stdout(sys.stderr):
        for subject, call in calls(keras):
            listen(subject, call, asked)
    return list(asked.values())


if __name__ == "__main__":
    sys.stdout.write(json.dumps([vars(file) for file in ask()]))
