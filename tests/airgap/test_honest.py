"""`check` of small scripts of many libraries, of a mirror that has all that it knows: green only if nothing else can be asked for."""

from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path

import pytest

from dataset_mirror.airgap.preflight.check import Row, preflight
from dataset_mirror.airgap.preflight.presence import Presence, names_of
from dataset_mirror.airgap.preflight.sources import asks_in
from dataset_mirror.origins.presets import read_preset, shipped
from dataset_mirror.origins.table import Origins

URL = "https://data.example.org/x.zip"
WEIGHTS = "https://download.pytorch.org/models/"


@cache
def names() -> Mapping[str, list[str]]:
    return names_of(Origins(read_preset(name, Path()) for name in shipped()))


class Everything:
    """A mirror that has every archive."""

    offline = False

    @property
    def names(self) -> Mapping[str, list[str]]:
        return names()

    def look(self, urls: Iterable[str]) -> Mapping[str, Presence]:
        return {url: Presence(url, listed=True, present=True) for url in urls}

    def want(self, urls: Iterable[str]) -> list[str]:
        return list(urls)


def rows(folder: Path, source: str) -> list[Row]:
    (folder / "a.py").write_text(source)
    return preflight(asks_in(str(folder / "a.py"), names()), Everything())


CANNOT = {
    "sunpy, by its import": "import sunpy.data.sample",
    "sunpy, a name of it": "from sunpy.data.sample import AIA_171_IMAGE",
    "sunpy, by importlib": "import importlib\nimportlib.import_module('sunpy.data.sample')",
    "globals, chosen": "import torchvision\nglobals()[name].datasets.MNIST('.', download=True)",
    "sys.modules, chosen": "import sys, torchvision\nsys.modules[name].datasets.MNIST('.', download=True)",
    "pandas, a variable": "import pandas as pd\npd.read_csv(args.path)",
    "pandas, a folder that may be a URL": "import os, pandas as pd\npd.read_csv(os.path.join(folder, 'x.csv'))",
    "pandas, several": "import pandas as pd\nfor path in paths:\n  pd.read_parquet(path)",
    "polars": "import polars as pl\npl.scan_ndjson(path)",
    "dask": "import dask.dataframe as dd\ndd.read_csv(path)",
    "xarray": "import xarray as xr\nxr.open_dataset(path)",
    "xarray, its examples": "import xarray as xr\nxr.tutorial.open_dataset('air_temperature')",
    "numpy.DataSource": "import numpy as np\nplace = np.DataSource('.')\nplace.open(path)",
    "duckdb": "import duckdb\nduckdb.read_parquet(path)",
    "duckdb, a query": "import duckdb\nduckdb.connect().execute(query)",
    "duckdb, a bucket": "import duckdb\nduckdb.sql(\"select * from 's3://a/b.parquet'\")",
    "get_file of tf.keras": "import tensorflow as tf\ntf.keras.utils.get_file(origin=url)",
    "tf.data": "import tensorflow as tf\ntf.data.TFRecordDataset(paths)",
    "datasets": "from datasets import load_dataset\nload_dataset('imdb')",
    "datasets, whole": "import datasets\nds = datasets.load_dataset('glue', 'cola')",
    "transformers": "from transformers import AutoModel\nAutoModel.from_pretrained('bert-base-uncased')",
    "transformers, a class of one's own": "from mine import Model\nModel.from_pretrained(name)",
    "transformers, pipeline": "from transformers import pipeline\npipeline('sentiment-analysis')",
    "huggingface_hub": "import huggingface_hub as h\nh.snapshot_download('org/repo')",
    "huggingface_hub, one file": "from huggingface_hub import hf_hub_download as get\nget('org/repo', 'a.bin')",
    "diffusers": "from diffusers import DiffusionPipeline as P\nP.from_pretrained('x/y')",
    "sentence-transformers": "from sentence_transformers import SentenceTransformer\nSentenceTransformer('all-MiniLM-L6-v2')",
    "timm": "import timm\ntimm.create_model('resnet50', pretrained=True)",
    "open_clip": "import open_clip\nopen_clip.create_model_and_transforms('ViT-B-32')",
    "whisper": "import whisper\nwhisper.load_model('tiny')",
    "torch.hub": "import torch\ntorch.hub.load('pytorch/vision:v0.10.0', 'resnet18')",
    "torchaudio": "import torchaudio\ntorchaudio.datasets.SPEECHCOMMANDS('.', download=True)",
    "torchtext": "from torchtext.datasets import IMDB\nIMDB()",
    "torchvision, by several arguments": "from torchvision.datasets import Places365\nPlaces365('.', download=True)",
    "torchvision, of a variable": "from torchvision import datasets as d\nd.MNIST('.', download=flag)",
    "torchvision, chosen": "import torchvision\ngetattr(torchvision.models, name)(weights='DEFAULT')",
    "torchvision, a subclass": "from torchvision.datasets import MNIST\nclass Mine(MNIST):\n  pass",
    "torchvision, weights of a variable": "from torchvision.models import resnet50\nresnet50(weights=w)",
    "torchvision, handed on": "from functools import partial\nfrom torchvision.models import resnet50\npartial(resnet50)",
    "torch_geometric": "from torch_geometric.datasets import Planetoid\nPlanetoid('.', 'Cora')",
    "dgl": "import dgl\ndgl.data.CoraGraphDataset()",
    "ogb": "from ogb.graphproppred import PygGraphPropPredDataset as D\nD('ogbg-molhiv')",
    "tfds, of a variable": "import tensorflow_datasets as tfds\ntfds.load(name)",
    "tfds, a version": "import tensorflow_datasets as tfds\ntfds.load('mnist:1.0.0')",
    "tfds, unheard of": "import tensorflow_datasets as tfds\ntfds.load('unheard_of')",
    "tensorflow_hub": "import tensorflow_hub as hub\nhub.load('https://tfhub.dev/google/nnlm-en-dim50/2')",
    "openml": "from sklearn.datasets import fetch_openml\nfetch_openml('mnist_784')",
    "nltk, asked for": "import nltk\nnltk.download()",
    "nltk, of a variable": "import nltk\nfor name in names: nltk.download(name)",
    "spacy": "import spacy\nspacy.cli.download('en_core_web_sm')",
    "stanza": "import stanza\nstanza.download('en')",
    "flair": "from flair.datasets import UD_ENGLISH\nUD_ENGLISH()",
    "gensim, of a variable": "import gensim.downloader as api\napi.load(model)",
    "kagglehub": "import kagglehub\nkagglehub.dataset_download('a/b')",
    "seaborn": "import seaborn as sns\nsns.load_dataset('iris')",
    "statsmodels": "import statsmodels.api as sm\nfrom statsmodels.datasets import get_rdataset\nget_rdataset('iris')",
    "fastai": "from fastai.vision.all import *\nuntar_data(URLs.PETS)",
    "pooch": "import pooch\np = pooch.create('.', base_url='https://a.org/', registry={})",
    "gdown": "import gdown\ngdown.download(id='x', output='y')",
    "ultralytics": "from ultralytics import YOLO\nYOLO('yolov8n.pt')",
    "nilearn": "from nilearn import datasets\ndatasets.fetch_haxby()",
    "mxnet": "from mxnet.gluon.data.vision import MNIST\nMNIST()",
    "monai": "from monai.apps import MedNISTDataset\nMedNISTDataset('.', download=True)",
    "keras_hub": "import keras_hub\nkeras_hub.models.BertBackbone.from_preset('bert_base_en')",
    "requests, of a variable": "import requests\nrequests.get(url)",
    "requests, a session": "import requests\ns = requests.Session()\ns.get(base_url + path)",
    "requests, post": f"import requests\nrequests.post('{URL}', json={{}})",
    "urllib, of a variable": "from urllib.request import urlretrieve\nurlretrieve(URLS[0], 'x')",
    "urllib, a format": "import urllib.request\nfor i in range(3): urllib.request.urlopen('https://a.org/%d.gz' % i)",
    "httpx": "import httpx\nhttpx.get(f'https://a.org/{name}')",
    "subprocess, of a variable": "import subprocess\nsubprocess.run(['wget', url])",
    "subprocess, git": "import subprocess\nsubprocess.check_call('git clone https://github.com/a/b', shell=True)",
    "subprocess, hf": "from subprocess import run\nrun(['hf', 'download', 'org/repo'])",
    "os.system": "import os\nos.system(f'curl -O {base}/x.zip')",
    "os.system, many": "import os\nos.system('wget -i list.txt')",
    "pandas, of a variable": "import pandas as pd\npd.read_csv(data_url)",
    "s3": "import pandas as pd\npd.read_parquet('s3://bucket/x.parquet')",
    "eval": "eval(code)",
    "import_module": "import importlib\nimportlib.import_module(name).load_data()",
}


@pytest.mark.parametrize("source", CANNOT.values(), ids=CANNOT)
def test_no_false_green(source: str, tmp_path: Path) -> None:
    """What no table maps, and what only a run can tell, is said to be so with its line, though the mirror has all that it knows."""
    found = rows(tmp_path, source)
    assert "cannot tell" in [row.state for row in found]
    assert all(place.startswith(f"{tmp_path}/a.py:") for row in found for place in row.places)


TOLD = {
    "torchvision": ("from torchvision import datasets\ndatasets.MNIST('.', train=True, download=True)", "torch/mnist"),
    "torchvision, by its module": ("from torchvision.datasets.cifar import CIFAR10\nCIFAR10('.', download=True)", "torch/cifar10"),
    "tfds": ("import tensorflow_datasets as tfds\ntfds.load('mnist', split='train')", "tfds/mnist"),
    "tfds, a configuration": ("import tensorflow_datasets as tfds\ntfds.builder('glue/cola')", "tfds/glue"),
    "scikit-learn": ("from sklearn import datasets as d\nd.fetch_california_housing()", "scikit-learn/california_housing"),
    "scipy": ("from scipy.datasets import face\nface(gray=True)", "scipy/face"),
    "scikit-image": ("from skimage import data\ndata.brain()", "scikit-image/brain"),
    "gensim": ("import gensim.downloader as api\napi.load('glove-wiki-gigaword-50')", "gensim/list gensim/glove-wiki-gigaword-50"),
    "nltk": ("import nltk\nnltk.download('punkt_tab')", "nltk/index nltk/punkt_tab"),
    "nltk, several": ("from nltk import download\ndownload(['punkt', 'stopwords'])", "nltk/index nltk/punkt nltk/stopwords"),
    "keras": ("from tensorflow.keras.datasets import boston_housing as b\nb.load_data()", "keras/boston_housing"),
}


@pytest.mark.parametrize(("source", "wanted"), TOLD.values(), ids=TOLD)
def test_what_loaders_ask_for(source: str, wanted: str, tmp_path: Path) -> None:
    """A loader that a table maps asks for exactly the archives of its names."""
    found = rows(tmp_path, source)
    assert {row.state for row in found} == {"present"}
    assert {row.url for row in found} == {url for name in wanted.split() for url in names()[name]}


@pytest.mark.parametrize(
    ("source", "wanted"),
    [
        ("import torchvision.models as m\nm.resnet50(weights='IMAGENET1K_V1')", ["resnet50-0676ba61.pth"]),
        ("from torchvision.models import resnet50, ResNet50_Weights as W\nresnet50(weights=W.DEFAULT)", ["resnet50-11ad3fa6.pth"]),
        ("from torchvision.models import resnet50\nresnet50(pretrained=True)", ["resnet50-0676ba61.pth"]),
        ("from torchvision.models import resnet50\nresnet50(True)", ["resnet50-0676ba61.pth"]),
        ("from torchvision.models.resnet import resnet50\nresnet50()", []),
        ("from torchvision.models.detection import retinanet_resnet50_fpn as r\nr()", ["resnet50-0676ba61.pth"]),
        ("from torchvision.models.detection import retinanet_resnet50_fpn as r\nr(weights=None, weights_backbone=None)", []),
    ],
)
def test_weights(source: str, wanted: list[str], tmp_path: Path) -> None:
    """Which weights a model asks for depends on its arguments, also those that are left out."""
    assert [row.url for row in rows(tmp_path, source)] == [WEIGHTS + name for name in wanted]


@pytest.mark.parametrize(
    "source",
    [
        f"import requests\nrequests.get('{URL}')",
        f"from urllib import request\nrequest.urlretrieve('{URL}', 'x')",
        f"from urllib.request import Request, urlopen\nq = Request('{URL}')\nurlopen(q)",
        f"import subprocess\nsubprocess.run(['wget', '-c', '{URL}'])",
        f"import os\nos.system('curl -LO {URL} && unzip x.zip')",
        f"import pandas as pd\npd.read_csv('{URL}')",
        "BASE = 'https://data.example.org/'\nmine.download(BASE + 'x.zip')",
    ],
)
def test_urls_that_are_fetched(source: str, tmp_path: Path) -> None:
    """A URL handed to a call or program that fetches is asked for, whether an origin lists it or not."""
    assert [row.url for row in rows(tmp_path, source)] == [URL]


@pytest.mark.parametrize(
    "source",
    [
        "import pandas as pd\npd.read_csv('data/x.csv')\npath = 'y.csv'\npd.read_csv(path)",
        "import pandas as pd\nfrom pathlib import Path\npd.read_csv(Path(folder) / 'x.csv')\nwith open(path) as f:\n  pd.read_csv(f)",
        "import os, pandas as pd, xarray\npd.read_csv(os.path.join('data', name))\nxarray.open_dataset('data/' + name)",
        "import pandas as pd\npd.read_csv(f'data/{x}')",
        "import duckdb, torchvision\nduckdb.sql('select 1')\ntorchvision.datasets.MNIST('.')",
        "from transformers import AutoModel\nAutoModel.from_pretrained('./checkpoint')",
        "from torchvision.datasets import ImageFolder, MNIST\nImageFolder('x')\nMNIST('.')",
        "from torchvision.models.detection.faster_rcnn import FastRCNNPredictor\nFastRCNNPredictor(3, 4)",
        "import subprocess\nsubprocess.run(['nvidia-smi', '-L'])",
        "from skimage import data\ndata.astronaut()",
        "import sys\nif 'google.colab' in sys.modules or 'x' not in globals():\n  globals()['x'] = 1\n  print(vars(args))",
        "import torch, numpy as np\nif torch is None:\n  np = None\nprint(torch, hasattr(np, 'float'))\nxp = np",
        "def f(x: int, d: dict) -> None:\n  d.get('x')\n  open('file')\n  model.load_weights(path)",
        f"print('See {URL}')",
    ],
)
def test_no_false_red(source: str, tmp_path: Path) -> None:
    """What only reads the disk asks for nothing."""
    assert [row for row in rows(tmp_path, source) if row.state != "present"] == []
