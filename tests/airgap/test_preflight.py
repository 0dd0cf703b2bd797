"""What is asked for, held against a catalog and what a mirror has."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from dataset_mirror.airgap.preflight.bindings import UNKNOWN
from dataset_mirror.airgap.preflight.check import archives_of, preflight
from dataset_mirror.airgap.preflight.loaders import CannotTell
from dataset_mirror.airgap.preflight.presence import Presence, names_of
from dataset_mirror.airgap.preflight.subjects import Address, Application, Ask, Beginning, ClassIndex, Dataset, Subject, Unclear
from dataset_mirror.origins.presets import read_preset
from dataset_mirror.origins.table import Origins

NAMES = names_of(Origins([read_preset("keras", Path())]))
A, B, C = (f"https://a.org/sets/{name}" for name in "abc")


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


def files(subject: Dataset | Application | ClassIndex) -> list[str]:
    return [url.rpartition("/")[2] for url in archives_of(subject, NAMES)]


@pytest.mark.parametrize(
    ("subject", "found"),
    [
        (Dataset("mnist", "load_data"), ["mnist.npz"]),
        (Dataset("imdb", "load_data"), ["imdb.npz"]),
        (Dataset("imdb", "get_word_index"), ["imdb_word_index.json"]),
        (ClassIndex(), ["imagenet_class_index.json"]),
        (Application("VGG16", (), {"weights": None}), []),
        (Application("VGG16", (False, None)), []),
        (Application("ResNetRS101"), ["resnet-rs-101-i192.h5"]),
        (Application("ResNetRS101", (False, "imagenet-i160")), ["resnet-rs-101-i160_notop.h5"]),
        (Application("RegNetX002", ("regnetx002", False)), None),
        (Application("ConvNeXtTiny", (False,)), ["convnext_tiny_notop.h5"]),
        (Application("ConvNeXtTiny", ("convnext_tiny", False)), ["convnext_tiny_notop.h5"]),
        (Application("MobileNetV2", ((3, 96, 96), 1, False)), ["mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.0_96_no_top.h5"]),
    ],
)
def test_archives_of_keras(subject: Dataset | Application | ClassIndex, found: list[str] | None) -> None:
    """Data sets, weights, and what only Keras 2 and tf_keras have."""
    assert files(subject) == found or (found is None and len(files(subject)) == 1)


@pytest.mark.parametrize(
    ("subject", "reason"),
    [
        (Dataset("mnist2", "load_data"), "keras.datasets.mnist2 is not in the catalog"),
        (Dataset("mnist", "get_word_index"), "keras.datasets.mnist.get_word_index has no archive in the catalog"),
        (Application("Unheard"), "keras.applications.Unheard is not in the catalog"),
        (Application("VGG16", (), {"weights": UNKNOWN}), "keras.applications.VGG16: weights is a variable"),
        (Application("VGG16", (UNKNOWN,)), "keras.applications.VGG16: include_top is a variable"),
        (Application("VGG16", starred=True), "keras.applications.VGG16: its arguments are a variable"),
        (Application("VGG16", (), {"weights": "my.h5"}), "VGG16: weights='my.h5' is a file of one's own, or not known here"),
        (Application("EfficientNetB0", (), {"weights": "noisy-student"}), "or not known here"),
        (Application("ResNetRS101", (), {"weights": "imagenet-i999"}), "or not known here"),
        (Application("MobileNet", (UNKNOWN,)), "keras.applications.MobileNet: input_shape is a variable"),
        (Application("MobileNet", (), {"input_tensor": UNKNOWN}), "keras.applications.MobileNet: input_tensor decides it"),
        (Application("MobileNet", (), {"alpha": 0.3}), "there are no weights for these arguments in the catalog"),
    ],
)
def test_doubts(subject: Dataset | Application | ClassIndex, reason: str) -> None:
    """What cannot be told is not guessed, and says why."""
    with pytest.raises(CannotTell) as doubt:
        archives_of(subject, NAMES)
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
