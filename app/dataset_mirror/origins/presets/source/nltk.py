"""The preset `nltk`: the packages of nltk_data, from `nltk.txt`."""

import sys
from collections.abc import Sequence
from pathlib import Path

from dataset_mirror.origins.presets.source.writing import Loads, Made, Row, run

ABOUT = "NLTK: what nltk.download fetches (nltk/punkt_tab)"
NOTE = (
    "The packages lie on a branch that moves, so they are known by name and not by digest; NLTK itself compares what it gets with the MD5"
    " of index.xml. NLTK 3.10 refuses proxies and private addresses unless NLTK_ALLOW_PROXIED_URLOPEN=1 is set."
)
BASE = "https://raw.githubusercontent.com/nltk/nltk_data/gh-pages"


def make(_: Path | None = None) -> Made:
    listed = Path(__file__).with_name("nltk.txt").read_text(encoding="utf-8").splitlines()
    rows = [Row(f"{BASE}/packages/{line}.zip", f"nltk/{line.partition('/')[2]}") for line in listed if not line.startswith("#")]
    given = "info_or_id=None,download_dir=None,quiet=False,force=False"
    loads = [Loads(f"nltk{module}.download", given, "", ["nltk/index", "nltk/{info_or_id}"]) for module in ("", ".downloader")]
    index: dict[str, object] = {"match": "/nltk/nltk_data/gh-pages/index.xml", "freshness": "1d", "links_to": ["raw.githubusercontent.com"]}
    rules: dict[str, list[dict[str, object]]] = {
        "raw.githubusercontent.com": [index, {"match": "/nltk/nltk_data/gh-pages/**", "freshness": "1d"}]
    }
    return Made(ABOUT, NOTE, [Row(f"{BASE}/index.xml", "nltk/index"), *rows], rules=rules, loads=loads)


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit status."""
    return run("nltk", make, arguments)


if __name__ == "__main__":
    sys.exit(main())
