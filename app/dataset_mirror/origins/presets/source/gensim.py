"""The preset `gensim`: the models and corpora of gensim-data, from `gensim.json`, which has the MD5 of each part."""

import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from dataset_mirror.origins.presets.source.writing import Loads, Made, Row, run

ABOUT = "gensim: what gensim.downloader.load fetches (gensim/glove-wiki-gigaword-50)"
NOTE = "gensim asks for list.json at each call; a copy of it is served while GitHub cannot be reached."
RELEASES = "https://github.com/RaRe-Technologies/gensim-data/releases/download"
LIST = "https://raw.githubusercontent.com/RaRe-Technologies/gensim-data/master/list.json"
RULES: dict[str, list[dict[str, object]]] = {
    "github.com": [{"match": "/RaRe-Technologies/gensim-data/releases/download/**", "freshness": "never"}],
    "raw.githubusercontent.com": [{"match": "/RaRe-Technologies/gensim-data/master/**", "freshness": "1d"}],
}


def make(_: Path | None = None) -> Made:
    known = json.loads(Path(__file__).with_name("gensim.json").read_text(encoding="utf-8"))
    loads = [
        Loads("gensim.downloader.load", "name,return_path=False", "", ["gensim/list", "gensim/{name}"]),
        Loads("gensim.downloader.info", "name=None", "", ["gensim/list"]),
    ]
    rows = [row for name, md5s in known.items() for row in archives(name, md5s)]
    return Made(ABOUT, NOTE, [Row(LIST, "gensim/list"), *rows], rules=RULES, loads=loads)


def archives(name: str, md5s: Sequence[str]) -> Iterator[Row]:
    """The code that reads a model or corpus, and its data, which may come in parts."""
    yield Row(f"{RELEASES}/{name}/__init__.py", f"gensim/{name}")
    for number, md5 in enumerate(md5s):
        part = f"_0{number}" if len(md5s) > 1 else ""
        yield Row(f"{RELEASES}/{name}/{name}.gz{part}", f"gensim/{name}", md5=md5)


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit status."""
    return run("gensim", make, arguments)


if __name__ == "__main__":
    sys.exit(main())
