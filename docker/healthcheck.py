"""The image's health check: ends with 0 if the mirror of the data folder answers /healthz, else with 1 and a sentence.

It asks where that mirror says that it listens, so it holds for whatever port was set, and wherever.
"""

import json
import os
import sys
import urllib.request
from pathlib import Path

PATIENCE = 4.0
"""Seconds; less than the timeout in the Dockerfile."""


def check(data: Path) -> None:
    """Raises OSError or ValueError if the mirror of this data folder does not answer."""
    url = json.loads((data / "serve.lock").read_text(encoding="utf-8"))["url"]
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    direct.open(f"{url}/healthz", timeout=PATIENCE).close()


if __name__ == "__main__":
    try:
        check(Path(os.environ["DATASET_MIRROR_DATA"]))
    except (OSError, ValueError) as error:
        sys.exit(f"The mirror does not answer: {error}.")
