"""The file of pins."""

from __future__ import annotations

from pathlib import Path

import pytest

from dataset_mirror.origins.identity import parse_url
from dataset_mirror.store import pins
from dataset_mirror.store.pins import Pin, Pins

URL = "https://data.example.org/sets/a.zip"


def test_two_threads_read_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While one thread reads the file again, another sees the pins of before: none is unpinned for a moment."""
    Pins(tmp_path / "pins.json").add([URL])
    known, seen = Pins(tmp_path / "pins.json"), []
    assert known.has(parse_url(URL), "")
    Pins(tmp_path / "pins.json").add(["keras/*"])
    parsed = pins._parsed

    def slowly(content: bytes) -> tuple[Pin, ...]:
        seen.append((known.urls, known.is_damaged, len(known._pins)))
        return parsed(content)

    monkeypatch.setattr(pins, "_parsed", slowly)
    assert len(known) == 2
    assert seen == [(frozenset([parse_url(URL)]), False, 1)]
