"""What `check` reads from calls of Keras, and what the installed Keras asks for when it makes the same calls.

Run as a program, this file makes the calls, in a process of its own, since it replaces parts of Keras.
"""

import importlib
import importlib.util
import inspect
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import redirect_stdout
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from dataset_mirror.airgap.preflight.loaders import Call, archives
from dataset_mirror.airgap.preflight.presence import names_of
from dataset_mirror.origins.presets import read_preset
from dataset_mirror.origins.table import Origins
from tests.airgap.test_asks import asked_by
from tests.origins.test_keras_presets import VARIANTS, Asked, listen, no_layers

NAMES = names_of(Origins([read_preset("keras", Path())]))


def read(source: str) -> list[str]:
    """The URLs that `check` finds in a source."""
    found: list[str] = []
    for ask in asked_by(source):
        assert isinstance(ask.subject, Call), ask
        found += archives(ask.subject, NAMES)
    return sorted(found)


@pytest.fixture(scope="module")
def really(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """The URLs that the installed Keras asks for, by the call that it made."""
    for module in ("keras", "openvino"):
        if importlib.util.find_spec(module) is None:
            pytest.skip(f"{module} is not installed")
    environment = os.environ | {"KERAS_BACKEND": "openvino", "KERAS_HOME": str(tmp_path_factory.mktemp("keras"))}
    command = [sys.executable, "-m", "tests.airgap.test_keras"]
    done = subprocess.run(command, cwd=Path(__file__).parents[2], env=environment, stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, list[str]] = json.loads(done.stdout)
    return found


def test_each_call_is_read_as_keras_makes_it(really: dict[str, list[str]]) -> None:
    """For each loader and model, with and without top, in all sizes, by keyword and by position: the very same URLs."""
    assert {source: urls for source, urls in really.items() if read(f"import keras, numpy\n{source}") != urls} == {}


def test_all_calls_were_made(really: dict[str, list[str]]) -> None:
    """All data sets and models took part, each with at least one URL."""
    assert all(really.values())
    sources = "\n".join(really)
    for call in (
        "datasets.imdb.get_word_index()",
        "VGG16(",
        "resnet_v2.ResNet50V2(",
        "alpha=0.35",
        "MobileNet((160, 160, 3)",
        "decode_predictions",
    ):
        assert call in sources
    assert len(really) > 350


def calls(keras: Any) -> Iterator[str]:
    """Calls that ask for files, as they stand in a source."""
    for name in (name for name in dir(keras.datasets) if not name.startswith("_")):
        loaders = vars(getattr(keras.datasets, name))
        yield from (f"keras.datasets.{name}.{loader}()" for loader in loaders if loader in ("load_data", "get_word_index"))
    for path, name in models(keras):
        yield f"keras.{path}.{name}()"
        yield f"keras.{path}.{name}({by_position(getattr(keras.applications, name))})"
        for top in (True, False):
            yield f"keras.{path}.{name}(include_top={top})"
    for name, sizes in VARIANTS.items():
        yield from (written(name, {"include_top": top} | size) for top, size in product([True, False], sizes))
        yield from (
            written(name, {"include_top": False, "input_shape": shape}) for shape in [(200, 200, 3), (160, 200, 3), (None, None, 3)]
        )
    yield "keras.applications.imagenet_utils.decode_predictions(numpy.zeros((1, 1000)))"


def written(name: str, arguments: dict[str, Any]) -> str:
    return f"keras.applications.{name}({', '.join(f'{key}={value}' for key, value in arguments.items())})"


def models(keras: Any) -> Iterator[tuple[str, str]]:
    """Each model below each module that has it."""
    places = {"applications": keras.applications}
    places |= {f"applications.{name}": module for name, module in vars(keras.applications).items() if inspect.ismodule(module)}
    for path, module in places.items():
        yield from ((path, name) for name in dir(module) if name[0].isupper())


def by_position(model: Any) -> str:
    """Arguments up to the weights, without top and, where sizes matter, of 160 pixels."""
    given = {"include_top": False, "weights": "imagenet", "input_shape": (160, 160, 3)}
    parameters = list(inspect.signature(model).parameters.values())
    number = [parameter.name for parameter in parameters].index("weights") + 1
    return ", ".join(repr(given.get(parameter.name, parameter.default)) for parameter in parameters[:number])


def make_calls() -> dict[str, list[str]]:
    keras, numpy = importlib.import_module("keras"), importlib.import_module("numpy")
    found, home = {}, Path(os.environ["KERAS_HOME"])
    with no_layers(keras), redirect_stdout(sys.stderr):
        for source in dict.fromkeys(calls(keras)):
            asked: dict[str, Asked] = {}
            listen(source, partial(eval, source, {"keras": keras, "numpy": numpy}), asked)
            found[source] = sorted(file.url for file in asked.values())
            shutil.rmtree(home)  # Keras would not ask again for what is there
            home.mkdir()  # nor does it use a folder that is not there
    return found


if __name__ == "__main__":
    sys.stdout.write(json.dumps(make_calls()))
