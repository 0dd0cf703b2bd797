"""What a source may ask for."""

from dataclasses import dataclass

from dataset_mirror.airgap.preflight.loaders import Call


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


Subject = Call | Address | Whole | Beginning | Unclear


@dataclass(frozen=True, slots=True)
class Ask:
    """What is asked for, and where; `place` as people write it: `train.py:12`."""

    place: str
    subject: Subject
