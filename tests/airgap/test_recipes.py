"""`check` of files as people have them, of a mirror that has all that is asked for: green only if nothing else can be."""

import json
from pathlib import Path

import pytest

from dataset_mirror.airgap.preflight.check import preflight
from dataset_mirror.airgap.preflight.sources import asks_in
from tests.airgap.test_honest import Everything, names

URL, BASE = "https://data.example.org/x.zip", "https://data.example.org"
CANNOT = ""
TORCH = "https://download.pytorch.org/models/resnet18-f37072fd.pth"

PYTHON = {
    "torch.hub, its cache first": (
        "import os, torch\nos.environ['TORCH_HOME'] = '/cache'\n"
        "model = torch.hub.load('ultralytics/yolov5', 'yolov5s', trust_repo=True)\nmodel.eval()",
        CANNOT,
    ),
    "torch.hub, weights by URL": (f"from torch import hub\nstate = hub.load_state_dict_from_url('{TORCH}', map_location='cpu')", TORCH),
    "torch.hub, weights of a dictionary": (
        f"from torch.hub import load_state_dict_from_url\nURLS = {{'r18': '{TORCH}'}}\nload_state_dict_from_url(URLS[arch])",
        CANNOT,
    ),
    "torchvision, a pipeline": (
        "import torch\nfrom torchvision import datasets, transforms\n"
        "data = datasets.CIFAR10(root='./data', train=True, download=True, transform=transforms.ToTensor())\n"
        "for x, y in torch.utils.data.DataLoader(data):\n  pass",
        "torch/cifar10",
    ),
    "torchvision, by a function's argument": (
        "import torchvision\ndef get(name, root):\n  cls = getattr(torchvision.datasets, name)\n"
        "  return cls(root, download=True)\nget('MNIST', '.')",
        CANNOT,
    ),
    "torchvision, a table of classes": (
        "from torchvision import datasets\nSETS = {'mnist': datasets.MNIST, 'cifar': datasets.CIFAR10}\n"
        "SETS[args.name]('.', download=True)",
        CANNOT,
    ),
    "torchvision, weights by name in a loop": (
        "from torchvision import models\nfor name in ['resnet18', 'vgg16']:\n  models.get_model(name, weights='DEFAULT')",
        CANNOT,
    ),
    "torchvision, in a subclass": (
        "from torchvision.datasets import CIFAR100\nclass Mine(CIFAR100):\n  def __init__(self, root):\n"
        "    super().__init__(root, download=True)",
        CANNOT,
    ),
    "tfds, a split and a reader": (
        "import tensorflow_datasets as tfds\n"
        "(train, test), info = tfds.load('mnist', split=['train', 'test'], as_supervised=True, with_info=True)",
        "tfds/mnist",
    ),
    "tfds, from a flag": (
        "from absl import flags\nimport tensorflow_datasets as tfds\nflags.DEFINE_string('name', 'mnist', '')\ntfds.load(flags.FLAGS.name)",
        CANNOT,
    ),
    "tfds, a folder of one's own": ("import tensorflow_datasets as tfds\ntfds.builder_from_directory(path)", CANNOT),
    "scikit-learn, with OpenML": (
        "from sklearn.datasets import fetch_openml\nX, y = fetch_openml('mnist_784', version=1, return_X_y=True, as_frame=False)",
        CANNOT,
    ),
    "scikit-learn, two": (
        "from sklearn.datasets import fetch_california_housing, load_iris\nload_iris()\nfetch_california_housing(as_frame=True)",
        "scikit-learn/california_housing",
    ),
    "openml": ("import openml\ntask = openml.tasks.get_task(31)\ndata = openml.datasets.get_dataset(61)", CANNOT),
    "openml, a suite": ("import openml\nfor t in openml.study.get_suite('OpenML-CC18').tasks:\n  print(t)", CANNOT),
    "scipy": ("import scipy.datasets as sd\nimg = sd.ascent()", "scipy/ascent"),
    "scipy, all": ("from scipy import datasets\ndatasets.download_all()", "scipy/ascent scipy/electrocardiogram scipy/face"),
    "scikit-image": ("import skimage\nskimage.data.brain()", "scikit-image/brain"),
    "scikit-image, read": (f"from skimage import io\nimg = io.imread('{URL}')", URL),
    "nltk, quiet": ("import nltk\nfor p in ('punkt', 'wordnet'):\n  nltk.download(p, quiet=True)", CANNOT),
    "nltk, when it is missing": (
        "import nltk\ntry:\n  nltk.data.find('corpora/wordnet')\nexcept LookupError:\n  nltk.download('wordnet')",
        "nltk/index nltk/wordnet",
    ),
    "gensim": (
        "from gensim import downloader\nmodel = downloader.load('word2vec-google-news-300')",
        "gensim/list gensim/word2vec-google-news-300",
    ),
    "kagglehub, adapters": (
        "import kagglehub\nfrom kagglehub import KaggleDatasetAdapter\nkagglehub.load_dataset(KaggleDatasetAdapter.PANDAS, 'a/b', 'x.csv')",
        CANNOT,
    ),
    "fsspec": (f"import fsspec\nwith fsspec.open('{URL}') as f:\n  f.read()", URL),
    "fsspec, a filesystem": (f"import fsspec\nfs = fsspec.filesystem('https')\nfs.get('{URL}', 'x.zip')", CANNOT),
    "fsspec, a chain": (f"import fsspec\nfsspec.open('zip://a.csv::{URL}')", URL),
    "pandas, with fsspec": ("import pandas as pd\npd.read_parquet('hf://datasets/org/set/x.parquet')", CANNOT),
    "urllib, an installed opener": (
        f"import urllib.request as r\nr.install_opener(r.build_opener())\nr.urlretrieve('{URL}', filename='x.zip')",
        CANNOT,
    ),
    "requests, in a retry": (
        f"import requests\nfrom requests.adapters import HTTPAdapter\ns = requests.Session()\n"
        f"s.mount('https://', HTTPAdapter())\ns.get('{URL}', stream=True)",
        URL,
    ),
    "subprocess, aria2": (f"import subprocess\nsubprocess.run(['aria2c', '-x', '8', '{URL}'], check=True)", URL),
    "subprocess, shlex": (f"import shlex, subprocess\nsubprocess.run(shlex.split('wget {URL}'))", CANNOT),
    "subprocess, a formatted line": ("import subprocess\nsubprocess.run('curl -O {}'.format(url), shell=True)", CANNOT),
    "subprocess, git lfs": ("import subprocess\nsubprocess.run(['git', 'lfs', 'pull'], cwd='repo')", CANNOT),
    "subprocess, node": ("import subprocess\nsubprocess.check_output(['node', 'fetch.js'])", CANNOT),
    "subprocess, pip": ("import subprocess, sys\nsubprocess.check_call([sys.executable, '-m', 'pip', 'install', 'torch'])", CANNOT),
    "subprocess, conda": ("import subprocess\nsubprocess.run('conda install -y numpy', shell=True)", CANNOT),
    "pip, by its module": ("import pip\npip.main(['install', 'numpy'])", CANNOT),
    "an import by a variable": (
        "import importlib\nm = importlib.import_module(f'torchvision.datasets.{name}')\nm.MNIST('.', download=True)",
        CANNOT,
    ),
}
NOTEBOOKS = {
    "pip and wget": ([f"!pip install -q keras\n!wget -q {URL}"], CANNOT),
    "wget alone": ([f"%%capture\n!wget -nc {URL} -O x.zip\n!unzip -o x.zip"], URL),
    "a variable of Python": ([f"url = '{URL}'", "!wget $url"], CANNOT),
    "braces": (["!curl -L {url} -o x"], CANNOT),
    "a cell of bash": ([f"%%bash\nset -e\nfor i in 1 2; do\n  wget {BASE}/part$i.zip\ndone"], CANNOT),
    "a cell of bash, plain": ([f"%%bash\nwget {URL}"], URL),
    "a cell that is written to a file": ([f"%%writefile get.py\nimport requests\nrequests.get('{URL}')", "!python get.py"], CANNOT),
    "%run": (["%run ./train.py"], CANNOT),
    "get_ipython": (["get_ipython().system('kaggle datasets download -d a/b')"], CANNOT),
    "a line magic in an expression": (["out = %sx wget -q $u"], CANNOT),
    "conda": (["%conda install -y pytorch"], CANNOT),
    "git lfs": (["!git lfs install && git clone https://huggingface.co/org/model"], CANNOT),
    "tfds": (["import tensorflow_datasets as tfds", "%time ds = tfds.load('mnist')"], "tfds/mnist"),
    "timeit, with options": (["import tensorflow_datasets as tfds\n%timeit -n 1 -r 1 tfds.load('mnist')"], "tfds/mnist"),
    "a timed assignment": (["import keras\n%%time x = 1\nkeras.datasets.mnist.load_data()"], "keras/mnist"),
    "a cell of another Python": (["%%python3\nimport keras\nkeras.datasets.mnist.load_data()"], CANNOT),
    "a cell of R": (["%%R\ndownload.file('https://a.org/x', 'x')"], CANNOT),
    "a cell of a shell by its name": ([f"%%script bash\ncurl -O {URL}"], URL),
    "a line that goes on": ([f"!wget -q \\\n  {URL}\nimport os"], URL),
    "a cell of bash that goes on": ([f"%%bash\nwget -q \\\n  -O x.zip \\\n  {URL}\n"], URL),
    "a page": (["%%html\n<b>x</b>"], None),
    "timed": (
        ["%%time\nimport keras\nkeras.datasets.imdb.get_word_index()"],
        "https://storage.googleapis.com/tensorflow/tf-keras-datasets/imdb_word_index.json",
    ),
}
OTHERS = {
    "get.sh": (f"#!/bin/sh\n# fetches\nset -eu\nwget -c {URL}\n", URL),
    "loop.sh": (f'BASE={BASE}\nfor f in a b; do\n  curl -fsSLO "$BASE/$f.zip"\ndone\n', CANNOT),
    "variable.sh": (f'URL="{URL}"\nwget "$URL"\n', CANNOT),
    "list.sh": ("aria2c -i urls.txt\n", CANNOT),
    "read.sh": ('while read -r url; do wget "$url"; done < urls.txt\n', CANNOT),
    "heredoc.sh": ("python3 - <<'END'\nimport keras\nkeras.datasets.mnist.load_data()\nEND\n", CANNOT),
    "job.sbatch": ("#!/bin/bash\n#SBATCH -t 1\nmodule load python\nsrun python train.py\n", CANNOT),
    "continued.sh": (f"wget \\\n  --tries=3 \\\n  {URL}\n", URL),
    "quoted.sh": (f"curl -L '{URL}' -o \"x.zip\" && unzip x.zip\n", URL),
    "function.sh": ('get() { curl -fsSL -o "$2" "$1"; }\nget https://data.example.org/x.zip x.zip\n', CANNOT),
    "program": (f"#!/usr/bin/env bash\nexec curl -O {URL}\n", URL),
    "post.sh": (f"curl -d @q.json {BASE}/api\n", CANNOT),
    "backticks.sh": ("echo `curl -s https://data.example.org/$NAME`\n", CANNOT),
    "xargs.sh": ("cat urls.txt | xargs -n1 curl -O\n", CANNOT),
    "hf.sh": ("huggingface-cli download org/model\n", CANNOT),
    "npm.sh": ("npm ci\n", CANNOT),
    "npx.sh": ("npx some-tool\n", CANNOT),
    "own.sh": ("./download_data --all\n", CANNOT),
    "named.sh": ("$FETCH https://data.example.org/x.zip\n", CANNOT),
    "elsewhere.sh": ("ssh node1 ./get\n", CANNOT),
    "system.sh": ("/bin/mkdir -p data && /usr/bin/tar xf x.tar\n", None),
    "plain.sh": ("set -e\nmkdir -p data\necho done\n", None),
    "Dockerfile": (f"FROM python:3.12\nRUN wget {URL}\n", CANNOT),
    "Dockerfile.scratch": (f"# no base\nADD --checksum=sha256:ab {URL} /x.zip\n", URL),
    "add.dockerfile": ("ARG V\nADD https://data.example.org/$V.zip /x\n", CANNOT),
    "json.dockerfile": (f'RUN ["curl", "-O", "{URL}"]\n', URL),
    "pip.dockerfile": ("RUN pip install --no-cache-dir torch\n", CANNOT),
    "Makefile": (f"data: x.zip\nx.zip:\n\t@wget -q {URL}\n", URL),
    "variable.mk": (f"URL := {URL}\nx.zip:\n\tcurl -o $@ $(URL)\n", CANNOT),
    "shell.mk": ("X := $(shell curl -s https://data.example.org/$(V))\n", CANNOT),
    "python.mk": ("all:\n\tpython train.py\n", CANNOT),
    "requirements.txt": ("numpy>=1.26\n", CANNOT),
    "requirements-dev.txt": (f"# by URL\nx @ {BASE}/x-1-py3-none-any.whl\n", f"{BASE}/x-1-py3-none-any.whl"),
    "requirements.in": ("-r other.txt\n", CANNOT),
    "environment.yml": ("dependencies:\n  - numpy\n", CANNOT),
    "package.json": ('{"dependencies": {"left-pad": "1"}}', CANNOT),
}


def check(file: Path, asked: str | None) -> None:
    found = preflight(asks_in(str(file), names()), Everything())
    if asked == CANNOT:
        assert "cannot tell" in [row.state for row in found]
    else:
        assert [row.reason for row in found if row.state != "present"] == []
        wanted = [url for one in (asked or "").split() for url in ([one] if "://" in one else names()[one])]
        assert {row.url for row in found} == set(wanted)


@pytest.mark.parametrize(("source", "asked"), PYTHON.values(), ids=PYTHON)
def test_scripts(source: str, asked: str, tmp_path: Path) -> None:
    """Scripts of many libraries."""
    (tmp_path / "a.py").write_text(source)
    check(tmp_path / "a.py", asked)


@pytest.mark.parametrize(("cells", "asked"), NOTEBOOKS.values(), ids=NOTEBOOKS)
def test_notebooks(cells: list[str], asked: str | None, tmp_path: Path) -> None:
    """Notebooks with magics, and lines and cells for a shell."""
    (tmp_path / "a.ipynb").write_text(json.dumps({"cells": [{"cell_type": "code", "source": cell} for cell in cells]}))
    check(tmp_path / "a.ipynb", asked)


@pytest.mark.parametrize(("name", "text", "asked"), [(name, *rest) for name, rest in OTHERS.items()], ids=OTHERS)
def test_recipes(name: str, text: str, asked: str | None, tmp_path: Path) -> None:
    """Scripts for a shell, Dockerfiles, Makefiles and lists of packages."""
    (tmp_path / name).write_text(text)
    check(tmp_path / name, asked)
