"""The loop of README's section "Cross an air gap": two mirrors, the inner one without any network, and a disk between them."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.airgap.alone import why_not
from tests.origin import Origin
from tests.serving import PATIENCE, PROGRAM, environment
from tests.test_readme import AGAIN, BOSTON, FILE, INSIDE, OUTSIDE

SCRIPT = """\
import keras

(x, y), _ = keras.datasets.boston_housing.load_data()
print(x.shape)
"""
NO_NETWORK = "ip link set lo up"
SERVING = "serve --offline"
RUN = f".venv/bin/dataset-mirror run -- {sys.executable} train.py"


def shell(lines: list[str], folder: Path, *, alone: bool, **settings: object) -> tuple[int, str]:
    """Runs lines of README in `folder`, in a namespace without network if `alone`; exit status and all that they say."""
    script = "\n".join(lines).replace(".venv/bin/dataset-mirror", PROGRAM)
    command = [*(["unshare", "-rn"] if alone else []), "sh", "-uc", script]
    known = environment(folder / "home", {"data": str(folder / "data"), "port": 0} | settings) | {"KERAS_BACKEND": "openvino"}
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
    """A Keras script that nobody changes fails inside, and works after eight commands and two ways of a disk; one GET did it."""
    if reason := why_not():
        pytest.skip(reason)
    if importlib.util.find_spec("openvino") is None:
        pytest.skip("keras is not installed with openvino")
    origin.add(BOSTON, FILE)
    inside, outside, disk = (tmp_path / name for name in ("inside", "outside", "disk"))
    for folder in (inside, outside, disk):
        (folder / "home").mkdir(parents=True)
    (inside / "train.py").write_text(SCRIPT)
    serve, *rest = INSIDE.splitlines()
    assert SERVING in serve

    status, said = shell(beside(serve, RUN), inside, alone=True)
    assert status == 1, said
    assert "504" in said
    status, said = shell(beside(serve, *rest), inside, alone=True)
    assert status == 0, said
    assert "boston_housing.npz" in (inside / "wanted.txt").read_text()

    for name in ("wanted.txt", "have.txt"):
        shutil.copy(inside / name, disk)
        shutil.copy(disk / name, outside)
    status, said = shell(OUTSIDE.splitlines(), outside, alone=False, upstreams={"storage.googleapis.com": [origin.url]})
    assert status == 0, said

    shutil.copy(outside / "bundle.tar", disk)
    shutil.copy(disk / "bundle.tar", inside)
    status, said = shell(beside(serve, *AGAIN.splitlines(), RUN), inside, alone=True)
    assert status == 0, said
    assert "(404, 13)" in said
    assert len(origin.gets(BOSTON)) == 1
