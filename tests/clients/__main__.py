"""All real clients, also the large ones: `python -m tests.clients` makes what it takes, once, and runs their tests.

Arguments are pytest's. `DATASET_MIRROR_TEST_CLIENTS` is where the packages are kept.
"""

import subprocess
import sys
from pathlib import Path

from tests.clients import kits


def main() -> int:
    """The exit status of pytest."""
    kits.main()
    options = ["-n", "2", "-m", "clients or not clients", "-o", "timeout=600", *sys.argv[1:]]
    return subprocess.run([sys.executable, "-m", "pytest", *options, str(Path(__file__).parent)], check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
