"""Which weights a model of keras.applications asks for: what its call says, held against the file names of the catalog.

As Keras 2.6 to 3.15 and tf_keras do it. The catalog has the files of each model under its name; most have one with the
classifier ("top") and one without, some have one for each width and image size.
"""

import re
from collections.abc import Mapping, Sequence

from dataset_mirror.airgap.preflight.bindings import UNKNOWN
from dataset_mirror.airgap.preflight.loaders import CannotTell
from dataset_mirror.airgap.preflight.subjects import Application

_PARAMETERS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("mobilenetv3", ("input_shape", "alpha", "minimalistic", "include_top", "weights", "input_tensor")),
    ("mobilenetv2", ("input_shape", "alpha", "include_top", "weights", "input_tensor")),
    ("mobilenet", ("input_shape", "alpha", "depth_multiplier", "dropout", "include_top", "weights", "input_tensor")),
    ("nasnet", ("input_shape", "include_top", "weights", "input_tensor")),
    ("convnext", ("include_top", "include_preprocessing", "weights", "input_tensor")),
    ("regnet", ("model_name", "include_top", "include_preprocessing", "weights", "input_tensor")),
    ("", ("include_top", "weights", "input_tensor", "input_shape")),
)
"""Parameters by position, for functions whose name begins like this in lower case."""

_WITHOUT_TOP = re.compile(r"no[_-]?top")
_ALPHAS = {"1_0": 1.0, "7_5": 0.75, "5_0": 0.5, "2_5": 0.25}
_MOBILENET = re.compile(r"mobilenet_(?P<alpha>\d_\d)_(?P<side>\d+)_tf")
_MOBILENET_V2 = re.compile(r"kernels_(?P<alpha>\d\.\d+)_(?P<side>\d+)")
_MOBILENET_V3 = re.compile(r"mobilenet_v3_(?:small|large)_(?P<minimalistic>minimalistic_)?224_(?P<alpha>\d\.\d+)_float")
_RESNET_RS = re.compile(r"resnet-rs-\d+-(?P<variant>i\d+)")
_USUAL_SIDE = 224


def arguments(call: Application) -> Mapping[str, object]:
    """The arguments of a call by the names of their parameters; CannotTell if it is called with `*` or `**`."""
    if call.starred:
        raise CannotTell("its arguments are a variable")
    lowered = call.name.lower()
    names = next(names for beginning, names in _PARAMETERS if lowered.startswith(beginning))
    if lowered.startswith("convnext") and call.positional[:1] and not isinstance(call.positional[0], bool):
        names = ("model_name", *names)  # as it was before Keras 3
    return dict(zip(names, call.positional, strict=False)) | dict(call.named)


def weights_of(call: Application, files: Sequence[str]) -> list[str]:
    """The URL that a call asks for, of all `files` of its model; none for weights=None. CannotTell, with the reason."""
    given = arguments(call)
    weights = given.get("weights", "imagenet")
    if weights is None:
        return []
    if weights is UNKNOWN:
        raise CannotTell("weights is a variable")
    variant = weights.removeprefix("imagenet-") if isinstance(weights, str) else ""
    if weights != "imagenet" and variant not in _variants(files):
        raise CannotTell(f"weights={weights!r} is a file of one's own, or not known here")
    top = _known(given, "include_top", True)
    if top is None or not isinstance(top, bool | int):
        raise CannotTell("include_top is no truth value")
    fitting = [file for file in files if bool(top) != bool(_WITHOUT_TOP.search(_name(file)))]
    found = fitting if len(fitting) == 1 else _of_size(fitting, given, variant)
    if len(found) != 1:
        raise CannotTell("there are no weights for these arguments in the catalog" if not found else "several weights fit")
    return found


def _known(given: Mapping[str, object], name: str, default: object) -> object:
    value = given.get(name, default)
    if value is UNKNOWN:
        raise CannotTell(f"{name} is a variable")
    return value


def _name(url: str) -> str:
    return url.rpartition("/")[2]


def _variants(files: Sequence[str]) -> list[str]:
    """Image sizes that ResNet-RS has weights for, such as `i192`."""
    return [match["variant"] for file in files if (match := _RESNET_RS.search(_name(file)))]


def _of_size(files: Sequence[str], given: Mapping[str, object], variant: str) -> list[str]:
    """Those of the files that fit the width (alpha), image size and variant."""
    if variants := _variants(files):
        wanted = variant if variant in variants else max(variants, key=lambda each: int(each[1:]))
        return [file for file, its in zip(files, variants, strict=True) if its == wanted]
    for pattern in (_MOBILENET, _MOBILENET_V2, _MOBILENET_V3):
        matches = [(file, match.groupdict()) for file in files if (match := pattern.search(_name(file)))]
        if len(matches) == len(files):
            return _of_mobilenet(matches, given)
    return list(files)


def _of_mobilenet(matches: Sequence[tuple[str, dict[str, str | None]]], given: Mapping[str, object]) -> list[str]:
    alpha = _known(given, "alpha", 1.0)
    fitting = [(file, match) for file, match in matches if _alpha(match["alpha"]) == alpha]
    if "minimalistic" in matches[0][1]:
        minimalistic = bool(_known(given, "minimalistic", False))
        return [file for file, match in fitting if bool(match["minimalistic"]) == minimalistic]
    side = _side(given)
    sides = {match["side"] for _, match in fitting}
    return [file for file, match in fitting if match["side"] == str(side if str(side) in sides else _USUAL_SIDE)]


def _alpha(text: str | None) -> float:
    return _ALPHAS.get(text or "") or float(text or 0)


def _side(given: Mapping[str, object]) -> object:
    """The side of square images of three channels, in pixels; of any other shape Keras takes the usual weights."""
    if given.get("input_tensor") is not None:
        raise CannotTell("input_tensor decides it")
    shape = _known(given, "input_shape", None)
    if not isinstance(shape, tuple) or len(shape) != 3:
        return _USUAL_SIDE
    rows, columns = shape[:2] if shape[2] in (1, 3, 4) else shape[1:]
    return rows if rows == columns else _USUAL_SIDE
