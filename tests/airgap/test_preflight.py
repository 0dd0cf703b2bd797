"""What is asked for, held against a catalog and what a mirror has."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from dataset_mirror.airgap.preflight.bindings import UNKNOWN
from dataset_mirror.airgap.preflight.check import preflight
from dataset_mirror.airgap.preflight.loaders import Call, CannotTell, archives
from dataset_mirror.airgap.preflight.presence import Presence, names_of
from dataset_mirror.airgap.preflight.subjects import Address, Ask, Beginning, Subject, Unclear
from dataset_mirror.origins.presets import read_preset
from dataset_mirror.origins.table import Origins

NAMES = names_of(Origins([read_preset("keras", Path())]))
A, B, C = (f"https://a.org/sets/{name}" for name in "abc")


def model(name: str, *arguments: Any, **more: Any) -> Call:
    return Call(f"keras.applications.{name}", *arguments, **more)


@dataclass
class Fake:
    """A mirror that has some archives."""

    has: Mapping[str, Presence]
    names: Mapping[str, list[str]] = field(default_factory=lambda: {"two": [A, B], "one": [C]})
    offline: bool = False

    def look(self, urls: Iterable[str]) -> Mapping[str, Presence]:
        return {url: self.has.get(url, Presence(url, listed=url.startswith("https://a.org/sets/"))) for url in urls}

    def want(self, urls: Iterable[str]) -> list[str]:
        return list(urls)


def files(subject: Call) -> list[str]:
    return [url.rpartition("/")[2] for url in archives(subject, NAMES)]


@pytest.mark.parametrize(
    ("subject", "found"),
    [
        (Call("keras.datasets.mnist.load_data"), ["mnist.npz"]),
        (Call("keras.datasets.imdb.load_data"), ["imdb.npz"]),
        (Call("keras.datasets.imdb.get_word_index"), ["imdb_word_index.json"]),
        (Call("keras.applications.decode_predictions"), ["imagenet_class_index.json"]),
        (model("VGG16", (), {"weights": None}), []),
        (model("VGG16", (False, None)), []),
        (model("VGG16", (UNKNOWN, None)), []),
        (
            model("MobileNetV2", ((200, 200, 3),), {"include_top": False}),
            ["mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.0_224_no_top.h5"],
        ),
        (model("ResNetRS101"), ["resnet-rs-101-i192.h5"]),
        (model("ResNetRS101", (False, "imagenet-i160")), ["resnet-rs-101-i160_notop.h5"]),
        (model("RegNetX002", ("regnetx002", False)), None),
        (model("ConvNeXtTiny", (False,)), ["convnext_tiny_notop.h5"]),
        (model("MobileNetV2", ((3, 96, 96), 1, False)), ["mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.0_96_no_top.h5"]),
    ],
)
def test_archives_of_keras(subject: Call, found: list[str] | None) -> None:
    """Data sets, weights, and what only Keras 2 and tf_keras have."""
    assert files(subject) == found or (found is None and len(files(subject)) == 1)


@pytest.mark.parametrize(
    ("subject", "reason"),
    [
        (model("VGG16", (), {"weights": UNKNOWN}), "keras.applications.VGG16: weights is a variable"),
        (model("VGG16", (UNKNOWN,)), "keras.applications.VGG16: include_top is a variable"),
        (model("VGG16", starred=True), "keras.applications.VGG16: its arguments are a variable"),
        (model("VGG16", (), {"weights": "my.h5"}), "VGG16: nothing is known of weights='my.h5'"),
        (model("EfficientNetB0", (), {"weights": "noisy-student"}), "nothing is known of weights='noisy-student'"),
        (model("ResNetRS101", (), {"weights": "imagenet-i999"}), "nothing is known of weights='imagenet-i999'"),
        (model("ConvNeXtTiny", ("convnext_tiny", False)), "nothing is known of include_top='convnext_tiny'"),
        (model("MobileNet", (UNKNOWN,)), "keras.applications.MobileNet: input_shape is a variable"),
        (model("MobileNet", (), {"input_tensor": UNKNOWN}), "keras.applications.MobileNet: input_tensor is a variable"),
        (model("MobileNet", (), {"alpha": 0.3}), "nothing is known of alpha='0.3'"),
    ],
)
def test_doubts(subject: Call, reason: str) -> None:
    """What cannot be told is not guessed, and says why."""
    with pytest.raises(CannotTell) as doubt:
        archives(subject, NAMES)
    assert str(doubt.value).endswith(reason)


def rows(subjects: Iterable[Subject], **has: Presence) -> list[tuple[str, str]]:
    """State, and URL or reason, of each row."""
    asks = [Ask(f"a.py:{line}", subject) for line, subject in enumerate(subjects, start=1)]
    return [
        (row.state, row.url or row.reason) for row in preflight(asks, Fake({f"https://a.org/sets/{key}": one for key, one in has.items()}))
    ]


def test_states() -> None:
    """Present, on its way, missing, listed nowhere, and not to be told."""
    asked: list[Subject] = [Address(A, True), Address(B, True), Address(C, True), Address("https://b.org/x", True), Unclear("why")]
    has = {"a": Presence(A, listed=True, present=True, verified=True, size=7), "b": Presence(B, listed=True, fetching=True)}
    assert rows(asked, **has) == [
        ("present", A),
        ("fetching", B),
        ("missing", C),
        ("not listed", "https://b.org/x"),
        ("cannot tell", "why"),
    ]


def test_urls_that_merely_stand_there() -> None:
    """They count if an origin lists them; folders and beginnings of listed URLs are doubts; the rest is nothing."""
    leads = Presence("https://a.org/sets", leads=True)
    asked: list[Subject] = [
        Address(A),
        Address("https://b.org/x"),
        Address("https://a.org/sets/"),
        Beginning("https://b.org/"),
        Beginning(B),
    ]
    assert rows(asked) == [
        ("missing", A),
        ("cannot tell", f"a URL that begins with {B}"),
        ("cannot tell", "a URL that begins with https://a.org/sets/"),
    ]
    fake = Fake({"https://a.org/sets": leads})
    assert [row.state for row in preflight([Ask("a.py:1", Address("https://a.org/sets"))], fake)] == ["cannot tell"]


def test_one_row_for_each_archive() -> None:
    """An archive that is asked for at several places has one row with all of them."""
    asks = [Ask("a.py:1", Address(A, True)), Ask("b.py:2", Address(A)), Ask("a.py:1", Address(A, True))]
    assert [(row.url, row.places) for row in preflight(asks, Fake({}))] == [(A, ("a.py:1", "b.py:2"))]


def test_how_to_get_it() -> None:
    """By name if all of the name is missing, else by URL; what no origin lists is added first."""
    there = Fake({A: Presence(A, listed=True, present=True)})
    asked = [Ask("", Address(url, True)) for url in (A, B, C, "https://b.org/it's")]
    assert [row.get for row in preflight(asked, there)] == [
        "",
        f"dataset-mirror fetch {B}",
        "dataset-mirror fetch one",
        "dataset-mirror add 'https://b.org/it'\"'\"'s'",
    ]
    assert {row.get for row in preflight(asked[:2], Fake({}))} == {"dataset-mirror fetch two"}
