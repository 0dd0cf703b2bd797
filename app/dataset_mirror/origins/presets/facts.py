"""What a preset has, in figures: for people who choose."""

from dataclasses import dataclass
from pathlib import Path

from dataset_mirror.origins.model import Preset
from dataset_mirror.origins.presets import read_preset
from dataset_mirror.origins.table import Origins


@dataclass(frozen=True, slots=True)
class Facts:
    """`archives`: how many it knows by URL, and `with_digest`: of how many of these it knows the digest, in its list or their URL."""

    name: str
    on: bool
    about: str
    note: str
    hosts: tuple[str, ...]
    datasets: int
    archives: int
    with_digest: int


def facts_of(name: str, folder: Path, *, on: bool) -> Facts:
    """Reads the preset as a whole."""
    preset = read_preset(name, folder)
    alone = Origins([preset])
    known = {entry.archive: entry for entry in alone.catalog}
    return Facts(
        name=name,
        on=on,
        about=preset.about,
        note=preset.note,
        hosts=_hosts(preset),
        datasets=len(list(alone.names)),
        archives=len(known),
        with_digest=sum(entry.has_digest or alone.has_digest_in_url(archive) for archive, entry in known.items()),
    )


def _hosts(preset: Preset) -> tuple[str, ...]:
    return tuple(sorted(origin.authority for origin in preset.origins))
