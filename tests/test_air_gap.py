"""The loop of README's section "Cross an air gap": two mirrors, the inner one without any network, and a disk between them."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from dataset_mirror.origins.identity import parse_url
from tests.airgap.alone import why_not
from tests.clients.hub import MODEL
from tests.imitations.huggingface import Hub
from tests.imitations.web import Web, static
from tests.origin import Origin
from tests.serving import PATIENCE, PROGRAM, environment
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
NO_NETWORK = "ip link set lo up"
SERVING = "serve --offline"
RUN = f".venv/bin/dataset-mirror run -- {sys.executable} train.py"
ASK = f".venv/bin/dataset-mirror run -- {sys.executable} -c 'import urllib.request as r; r.urlopen(\"{ZIP}\")'"
ALLOW = "--allow files.lab.example"


def shell(lines: list[str], folder: Path, *, alone: bool, **settings: object) -> tuple[int, str]:
    """Runs lines of README in `folder`, in a namespace without network if `alone`; exit status and all that they say."""
    script = "\n".join(lines).replace(".venv/bin/dataset-mirror", PROGRAM)
    command = [*(["unshare", "-rn"] if alone else []), "sh", "-uc", script]
    known = environment(folder / "home", {"data": str(folder / "data"), "port": 0} | SETTINGS | settings) | {"KERAS_BACKEND": "openvino"}
    known |= {"KERAS_HOME": str(folder / "keras"), "PATH": os.environ["PATH"]}
    done = subprocess.run(command, cwd=folder, env=known, capture_output=True, text=True, timeout=4 * PATIENCE, check=False)
    return done.returncode, done.stdout + done.stderr


def beside(serve: str, *lines: str) -> list[str]:
    """Lines that run while a mirror serves in the background; the exit status is that of the last one."""
    return [
        NO_NETWORK,
        f"{serve} > serve.out 2> serve.err & mirror=$!",
        "until grep -q 'Try:' serve.out; do sleep 0.05; kill -0 $mirror || exit 9; done",
        *lines,
        "status=$?",
        "kill $mirror; wait $mirror",
        "exit $status",
    ]


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
    serve, check, *rest = INSIDE.splitlines()
    assert SERVING in serve

    status, said = shell(beside(serve, f"{ASK} && exit 8", f"{check} tfds/mlqa {HF}", *rest), inside, alone=True)
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
        status, said = shell([f"{fetch} {ALLOW}", f"exec {export}"], outside, alone=False, upstreams=upstreams)
        assert status == 0, said
        assert len(origin.gets(BOSTON)) == len(web.asked_of("dl.fbaipublicfiles.com")) == len(web.asked_of("files.lab.example")) == 1

    shutil.copy(outside / "bundle.tar", disk)
    shutil.copy(disk / "bundle.tar", inside)
    take, look = AGAIN.splitlines()
    status, said = shell(beside(serve, f"{take} {ALLOW}", f"{look} tfds/mlqa {HF}", RUN), inside, alone=True)
    assert status == 0, said
    assert f"(404, 13) {len(OURS)} {len(MLQA)} {len(MODEL['config.json'])}" in said
