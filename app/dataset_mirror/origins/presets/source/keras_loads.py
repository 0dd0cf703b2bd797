"""What calls of Keras ask for, as lines of `loaders/keras.tsv`: data sets and weights by argument, from the archives' names.

As Keras 2.6 to 3.15 and tf_keras do it. Most models have a file with the classifier ("top") and one without, some have one for
each width and image size.
"""

import re
from collections.abc import Iterable, Iterator, Sequence

from dataset_mirror.origins.model import CatalogEntry
from dataset_mirror.origins.presets.source.writing import Loads

_PARAMETERS: tuple[tuple[str, str], ...] = (
    ("MobileNetV3", "input_shape=None,alpha=1.0,minimalistic=False,include_top=True,weights=imagenet,input_tensor=None"),
    ("MobileNetV2", "input_shape=None,alpha=1.0,include_top=True,weights=imagenet,input_tensor=None"),
    ("MobileNet", "input_shape=None,alpha=1.0,depth_multiplier=1,dropout=0.001,include_top=True,weights=imagenet,input_tensor=None"),
    ("NASNet", "input_shape=None,include_top=True,weights=imagenet,input_tensor=None"),
    ("ConvNeXt", "include_top=True,include_preprocessing=True,weights=imagenet,input_tensor=None"),
    ("RegNet", "model_name=None,include_top=True,include_preprocessing=True,weights=imagenet,input_tensor=None"),
    ("", "include_top=True,weights=imagenet,input_tensor=None,input_shape=None"),
)
"""Parameters with their defaults, for functions whose name begins like this."""
_SPELLED = {
    **{word.lower(): word for word in ("ConvNeXt", "DenseNet", "EfficientNet", "InceptionResNet", "Inception", "MobileNet", "NASNet")},
    **{word.lower(): word for word in ("RegNet", "ResNetRS", "ResNet", "VGG", "Xception")},
}
_SIZES = {
    "v3large": "V3Large",
    "v3small": "V3Small",
    "xlarge": "XLarge",
    "large": "Large",
    "base": "Base",
    "small": "Small",
    "tiny": "Tiny",
}
_SIZES |= {"mobile": "Mobile"}
_WITHOUT_TOP = re.compile(r"no[_-]?top")
_ALPHAS = {"1_0": "1.0", "7_5": "0.75", "5_0": "0.5", "2_5": "0.25"}
_OF_SIZE = re.compile(r"mobilenet_(?P<alpha>\d_\d)_(?P<side>\d+)_tf|kernels_(?P<width>\d\.\d+)_(?P<square>\d+)")
_V3 = re.compile(r"mobilenet_v3_(?:small|large)_(?P<minimalistic>minimalistic_)?224_(?P<alpha>\d\.\d+)_float")
_RS = re.compile(r"resnet-rs-\d+-(?P<variant>i\d+)")
_USUAL = "224"
"""Side of images in pixels; of any other shape than squares that have a file Keras takes this one's."""
_CHANNELS = (1, 3, 4)
_WORD_INDEX = "_word_index."


def loads(archives: Iterable[CatalogEntry]) -> list[Loads]:
    """One line for each case."""
    by_name: dict[str, list[str]] = {}
    for archive in archives:
        by_name.setdefault(archive.name, []).append(archive.url)
    found: list[Loads] = []
    for name, urls in by_name.items():
        area, _, rest = name.partition("/")
        if area != "keras":
            continue
        if rest == "applications/imagenet_class_index":
            found.append(Loads("keras.applications.decode_predictions", "preds,top=5", "", [name]))
        elif rest.startswith("applications/"):
            found += _of_model(_spelled(rest.partition("/")[2]), urls)
        else:
            found += _of_data_set(name, rest, urls)
    return found


def _of_data_set(name: str, data_set: str, urls: Sequence[str]) -> Iterator[Loads]:
    index = [url for url in urls if _WORD_INDEX in url]
    yield Loads(f"keras.datasets.{data_set}.load_data", "", "", [url for url in urls if url not in index] if index else [name])
    if index:
        yield Loads(f"keras.datasets.{data_set}.get_word_index", "", "", index)


def _of_model(function: str, urls: Sequence[str]) -> Iterator[Loads]:
    path, parameters = f"keras.applications.{function}", next(given for start, given in _PARAMETERS if function.startswith(start))
    yield Loads(path, parameters, "weights=None", [])
    for url in urls:
        file = url.rpartition("/")[2]
        top = "include_top=False|0" if _WITHOUT_TOP.search(file) else "include_top=True|1"
        yield Loads(path, parameters, f"{_weights(file, urls)};{top}{_by_size(file, urls)}", [url])


def _weights(file: str, urls: Sequence[str]) -> str:
    """The `weights` that a file is for: ResNet-RS has some for several sizes of images, of which the largest is usual."""
    variant = _RS.search(file)
    if variant is None:
        return "weights=imagenet"
    largest = max((int(match["variant"][1:]) for url in urls if (match := _RS.search(url))), default=0)
    usual = "imagenet|" if variant["variant"] == f"i{largest}" else ""
    return f"weights={usual}imagenet-{variant['variant']}"


def _by_size(file: str, urls: Sequence[str]) -> str:
    """What of width and image size a file of MobileNet is for; empty for other models."""
    if third := _V3.search(file):
        return f";{_alpha(third['alpha'])};minimalistic={'True|1' if third['minimalistic'] else 'False|0|None'}"
    if found := _OF_SIZE.search(file):
        alpha, side = _ALPHAS.get(found["alpha"] or "", found["width"]), found["side"] or found["square"]
        return f";{_alpha(alpha)};input_tensor=None;input_shape={'|'.join(_shapes(side))}"
    return ""


def _alpha(text: str) -> str:
    value = str(float(text))
    return f"alpha={value}|{value.removesuffix('.0')}" if value.endswith(".0") else f"alpha={value}"


def _shapes(side: str) -> Iterator[str]:
    """Shapes of square images of that side; `*` is any that is not named."""
    for channels in _CHANNELS:
        yield from (f"({side}, {side}, {channels})", f"({channels}, {side}, {side})")
    if side == _USUAL:
        yield from ("None", "*")


def _spelled(lowered: str) -> str:
    """The name of a function of keras.applications, in its own letters."""
    family = next(word for word in _SPELLED if lowered.startswith(word))
    rest = lowered.removeprefix(family)
    return _SPELLED[family] + _SIZES.get(rest, rest.upper())


def text(archives: Iterable[CatalogEntry]) -> str:
    """The whole table."""
    made_by = (
        "# Made by app/dataset_mirror/origins/presets/source/make.py from keras_catalog.json. Do not edit: change those and run that.\n"
    )
    return made_by + "\n".join(one.line() for one in loads(archives)) + "\n"
