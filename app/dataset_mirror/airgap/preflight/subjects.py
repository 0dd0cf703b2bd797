"""What a source may ask for."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from dataset_mirror.airgap.preflight.loaders import Call


@dataclass(frozen=True, slots=True)
class Dataset:
    """`keras.datasets.NAME.LOADER`; the loader is load_data or get_word_index."""

    name: str
    loader: str


@dataclass(frozen=True, slots=True)
class Application:
    """A call of a model of keras.applications; values that only a run can tell are UNKNOWN."""

    name: str
    positional: tuple[object, ...] = ()
    named: Mapping[str, object] = field(default_factory=dict)
    starred: bool = False
    """Whether it is called with `*` or `**`."""


@dataclass(frozen=True, slots=True)
class ClassIndex:
    """The names of the classes of ImageNet, which `decode_predictions` needs."""


@dataclass(frozen=True, slots=True)
class Address:
    """A URL. `certain`: it is asked for; else it merely stands in the source, and only a configured origin makes it one of ours."""

    url: str
    certain: bool = False


@dataclass(frozen=True, slots=True)
class Whole:
    """A repository of a hub at a revision, by name."""

    name: str


@dataclass(frozen=True, slots=True)
class Beginning:
    """A URL of which only the beginning stands in the source."""

    url: str


@dataclass(frozen=True, slots=True)
class Unclear:
    """Something that may ask for archives, in a way that only a run can tell, or that no table knows."""

    reason: str


Subject = Dataset | Application | ClassIndex | Call | Address | Whole | Beginning | Unclear


@dataclass(frozen=True, slots=True)
class Ask:
    """What is asked for, and where; `place` as people write it: `train.py:12`."""

    place: str
    subject: Subject
