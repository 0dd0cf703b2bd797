"""The loop of README's section "Cross an air gap": two mirrors, the inner one without any network, and a disk between them."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import shutil
import sys
from pathlib import Path

import pytest

from dataset_mirror.origins.identity import parse_url
from tests.airgap.alone import why_not
from tests.airgap.inside import PROGRAM, Inside, execute
from tests.clients.hub import MODEL
from tests.imitations.huggingface import Hub
from tests.imitations.web import Web, static
from tests.origin import Origin
from tests.serving import environment
from tests.test_readme import AGAIN, BOSTON, FILE, INSIDE, OUTSIDE

HF, TFDS, ZIP = (
    "hf:org/model",
    "https://dl.fbaipublicfiles.com/MLQA/MLQA_V1.zip",
    "https://files.lab.example/sets/ours.zip",
)
MLQA, OURS = b"PK mlqa" * 100, b"PK ours" * 100
HUB = "https://huggingface.co/org/model/resolve/main/config.json"
SCRIPT = f"""\
import keras
from urllib.request import urlopen

(x, y), _ = keras.datasets.boston_housing.load_data()
print(x.shape, len(urlopen({ZIP!r}).read()), len(urlopen({TFDS!r}).read()), len(urlopen({HUB!r}).read()))
"""
SETTINGS = {
    "presets": ["keras", "huggingface", "tfds"],
    "archives": [{"url": TFDS, "sha256": hashlib.sha256(MLQA).hexdigest(), "size": len(MLQA)}],
}
SERVING = "serve --offline"
RUN = f"{PROGRAM} run -- {sys.executable} train.py"
ASK = f"! {PROGRAM} run -- {sys.executable} -c 'import urllib.request as r; r.urlopen(\"{ZIP}\")'"
ALLOW = "--allow files.lab.example"


def settings_of(folder: Path, **settings: object) -> dict[str, str]:
    """The environment of commands in a folder, with a home of its own."""
    known = environment(folder / "home", {"data": str(folder / "data"), "port": 0} | SETTINGS | settings)
    return known | {"KERAS_BACKEND": "openvino", "KERAS_HOME": str(folder / "keras"), "PATH": os.environ["PATH"]}


def test_the_loop(origin: Origin, tmp_path: Path) -> None:
    """A script that nobody changes fails inside, and works after eight commands and two ways of a disk; each file was fetched once."""
    # It asks for a data set of Keras, one of TFDS, a file of a repository of a hub, which is named as a whole, and a zip of a host
    # that no origin lists.
    if reason := why_not():
        pytest.skip(reason)
    if importlib.util.find_spec("openvino") is None:
        pytest.skip("keras is not installed with openvino")
    origin.add(BOSTON, FILE)
    inside, outside, disk = (tmp_path / name for name in ("inside", "outside", "disk"))
    for folder in (inside, outside, disk):
        (folder / "home").mkdir(parents=True)
    (inside / "train.py").write_text(SCRIPT)
    with Inside() as place:
        cross(place, origin, inside, outside, disk)


def cross(place: Inside, origin: Origin, inside: Path, outside: Path, disk: Path) -> None:
    """The commands, and what they say, in their order."""
    serve, check, *rest = INSIDE.splitlines()
    assert SERVING in serve
    status, said = place.run(serve, [ASK, f"! {check} tfds/mlqa {HF}", *rest], inside, settings_of(inside))
    assert status == 0, said
    assert "Error" in said
    listed = (inside / "wanted.txt").read_text()
    assert all(one in listed for one in ("boston_housing.npz", TFDS, f"{HF}@main", ZIP, "#origin ")), listed

    for name in ("wanted.txt", "have.txt"):
        shutil.copy(inside / name, disk)
        shutil.copy(disk / name, outside)
    fetch, export = OUTSIDE.splitlines()
    files = {"dl.fbaipublicfiles.com": static({parse_url(TFDS).path: MLQA}), "files.lab.example": static({parse_url(ZIP).path: OURS})}
    with Hub() as hub, Web(files) as web:
        hub.repository("org/model", MODEL)
        upstreams = {"storage.googleapis.com": [origin.url], **hub.upstreams, **web.upstreams}
        status, said = execute([f"{fetch} {ALLOW}", export], outside, settings_of(outside, upstreams=upstreams))
        assert status == 0, said
        assert len(origin.gets(BOSTON)) == len(web.asked_of("dl.fbaipublicfiles.com")) == len(web.asked_of("files.lab.example")) == 1

    shutil.copy(outside / "bundle.tar", disk)
    shutil.copy(disk / "bundle.tar", inside)
    take, look = AGAIN.splitlines()
    status, said = place.run(serve, [f"{take} {ALLOW}", f"{look} tfds/mlqa {HF}", RUN], inside, settings_of(inside))
    assert status == 0, said
    assert f"(404, 13) {len(OURS)} {len(MLQA)} {len(MODEL['config.json'])}" in said
