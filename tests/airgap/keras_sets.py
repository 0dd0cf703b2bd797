"""A catalog for tests of KERAS_HOME: the genuine small archive of Keras, and own ones that have two places, share one, or are large."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path
from typing import Any

from tests.origin import MIB, Origin, body
from tests.serving import URL

GOOGLE = "storage.googleapis.com"
KERAS = "/tensorflow/tf-keras-datasets/"
FILE = Path(__file__).parents[1] / "data" / "origin" / GOOGLE / KERAS.strip("/") / "boston_housing.npz"
BOSTON = "datasets/boston_housing.npz"
BOSTON_URL = f"https://{GOOGLE}{KERAS}boston_housing.npz"
TWO_PLACES = ("datasets/two-target_archive", "datasets/two.tar.gz")
SIZES = {"two.bin": 3000, "now.bin": 2000, "old.bin": 1000, "large.bin": 24 * MIB, "last.bin": 5000, "part.bin": 700}


def entry(name: str, file: str, *places: str, **more: Any) -> dict[str, Any]:
    return {"url": f"{URL}/sets/{file}", "name": name, "keras_home": places, **more}


ARCHIVES = [
    entry("keras-legacy/shared", "old.bin", "datasets/shared.npz"),
    entry("keras/shared", "now.bin", "datasets/shared.npz", sha256=sha256(body(2000)).hexdigest()),
    entry("keras/two", "two.bin", *TWO_PLACES),
    entry("keras/large", "large.bin", "models/a-large.h5"),
    entry("keras/last", "last.bin", "models/b-last.h5"),
    entry("keras/parts", "part.bin", "datasets/part.bin"),
    entry("keras/parts", "never.bin", "datasets/never.bin"),
]


def stock(origin: Origin) -> None:
    """Gives the origin these archives, but for never.bin."""
    origin.add(f"{KERAS}boston_housing.npz", FILE)
    for file, size in SIZES.items():
        origin.add(f"/sets/{file}", body(size))
