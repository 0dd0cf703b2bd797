"""`check` of scripts as people write them: what they ask for is told, or it is said that it cannot be told; never a green for nothing."""

from pathlib import Path

import pytest

from tests.airgap.test_honest import names, rows

URL = "https://data.example.org/x.zip"
BASE = "https://data.example.org"
CANNOT = ""

SCRIPTS = {
    "a module by another name": (f"import urllib.request as r\nget = r.urlretrieve\nget('{URL}', 'x')", URL),
    "two names": (f"from urllib import request\nf = request.urlopen\ng = f\ng('{URL}')", URL),
    "a star": (f"from urllib.request import *\nurlretrieve('{URL}')", URL),
    "a partial": (f"from functools import partial\nimport requests\npartial(requests.get, timeout=5)('{URL}')", CANNOT),
    "a partial of a data set": ("import functools, torchvision.datasets as d\nfunctools.partial(d.CIFAR10, download=True)('.')", CANNOT),
    "getattr, known": ("import keras\ngetattr(keras.datasets, 'mnist').load_data()", "keras/mnist"),
    "getattr, chosen": ("import keras, sys\ngetattr(keras.datasets, sys.argv[1]).load_data()", CANNOT),
    "getattr of a fetcher": (f"import requests\ngetattr(requests, 'get')('{URL}')", URL),
    "a loop over constants": ("import tensorflow_datasets as tfds\nfor n in ['mnist', 'cifar10']:\n  tfds.load(n)", CANNOT),
    "a loop over URLs": (f"import requests\nfor u in ['{URL}']:\n  requests.get(u)", CANNOT),
    "a loop over loaders": ("import keras\nfor d in (keras.datasets.mnist, keras.datasets.imdb):\n  d.load_data()", CANNOT),
    "argparse": (
        "import argparse, keras\np = argparse.ArgumentParser()\np.add_argument('--n')\ngetattr(keras.datasets, p.parse_args().n)",
        CANNOT,
    ),
    "an import that may fail": (
        "try:\n  import keras\nexcept ImportError:\n  import tensorflow.keras as keras\nkeras.datasets.imdb.load_data()",
        "keras/imdb",
    ),
    "one of two imports": (
        "if x:\n  from torchvision.datasets import MNIST as D\nelse:\n  from mine import D\nD('.', download=True)",
        "torch/mnist",
    ),
    "an attribute of a class": (f"import requests\nclass C:\n  url = '{URL}'\n  def go(self):\n    requests.get(self.url)", CANNOT),
    "a module in an attribute": (
        "import keras\nclass C:\n  def __init__(self):\n    self.k = keras\n  def go(self):\n    self.k.datasets.mnist.load_data()",
        CANNOT,
    ),
    "an f-string of constants": (f"import requests\nBASE = '{BASE}'\nrequests.get(f'{{BASE}}/x.zip')", URL),
    "an f-string": (f"import requests\nrequests.get(f'{BASE}/{{name}}.zip')", CANNOT),
    "a join": (f"import requests\nfrom urllib.parse import urljoin\nrequests.get(urljoin('{BASE}', 'x.zip'))", CANNOT),
    "os.system": (f"import os\nn = 'x.zip'\nos.system(f'wget {BASE}/{{n}}')", URL),
    "os.system of a script": ("import os\nos.system('bash download.sh')", CANNOT),
    "another script": ("import subprocess\nsubprocess.run(['python', 'get_data.py'])", CANNOT),
    "make": ("import subprocess\nsubprocess.run(['make', 'data'])", CANNOT),
    "pip": ("import subprocess, sys\nsubprocess.check_call([sys.executable, '-m', 'pip', 'install', 'x'])", CANNOT),
    "a list in a name": (f"import subprocess\ncmd = ['wget', '-q'] + ['{URL}']\nsubprocess.check_call(cmd)", URL),
    "a list that grows": (f"import subprocess\ncmd = ['wget']\ncmd.append('{URL}')\nsubprocess.check_call(cmd)", CANNOT),
    "a pipe into a shell": (f"import os\nos.system('curl -L {URL} | sh')", CANNOT),
    "a session": ("import requests\ns = requests.Session()\ns.get(address)", CANNOT),
    "a session, with": (f"import requests\nwith requests.Session() as s:\n  s.get('{URL}')", URL),
    "a session in an attribute": (
        "import requests\nclass C:\n  def __init__(self):\n    self.s = requests.Session()\n  def go(self, a):\n    self.s.get(a)",
        CANNOT,
    ),
    "a session, asynchronous": ("import aiohttp\nasync def go(a):\n  async with aiohttp.ClientSession() as s:\n    await s.get(a)", CANNOT),
    "httpx": ("import httpx\nc = httpx.Client()\nc.get(address)", CANNOT),
    "urllib3": ("import urllib3\nurllib3.PoolManager().request('GET', address)", CANNOT),
    "an opener": ("import urllib.request as r\nr.build_opener().open(address)", CANNOT),
    "a socket": ("import socket\nsocket.create_connection(('data.example.org', 80))", CANNOT),
    "S3": ("import boto3\nboto3.client('s3').download_file('bucket', 'key', 'file')", CANNOT),
    "a bucket": ("import tensorflow as tf\ntf.io.gfile.copy('gs://bucket/x', 'x')", CANNOT),
    "fsspec": ("import fsspec\nfsspec.open(where)", CANNOT),
    "a model of a hub": ("import keras\nkeras.saving.load_model('hf://org/name')", CANNOT),
    "a variable of the environment": (f"import os, requests\nrequests.get(os.environ.get('DATA_URL', '{URL}'))", CANNOT),
    "a thread": ("import threading, requests\nthreading.Thread(target=requests.get, args=(u,)).start()", CANNOT),
    "map": ("from urllib.request import urlretrieve\nlist(map(urlretrieve, urls))", CANNOT),
    "a decorated function": ("import keras\n@cache\ndef load():\n  return keras.datasets.imdb.load_data()", "keras/imdb"),
    "a loader in a class": ("import keras\nclass C:\n  load = keras.datasets.imdb.load_data\nC.load()", "keras/imdb"),
    "a function that returns one": ("import keras\ndef get():\n  return keras.datasets.mnist\nget().load_data()", CANNOT),
    "a configuration's class": ("from hydra.utils import instantiate\ninstantiate(cfg.data)", CANNOT),
    "another file's code": ("import runpy\nrunpy.run_path('other.py')", CANNOT),
    "git": ("import git\ngit.Repo.clone_from('https://github.com/a/b', 'b')", CANNOT),
    "an artifact": ("import wandb\nwandb.init().use_artifact('x').download()", CANNOT),
    "a query that is made at run time": ("import duckdb\nduckdb.sql(f\"SELECT * FROM '{source}'\")", CANNOT),
    "a query, by a cursor": (f"import duckdb\nduckdb.connect().cursor().execute(\"SELECT * FROM '{URL}'\")", CANNOT),
    "a glob of URLs": (f"import polars as pl\npl.scan_parquet('{BASE}/*.parquet')", CANNOT),
    "a pipeline's method": ("import torchaudio\nb = torchaudio.pipelines.HUBERT_BASE\nb.get_model()", CANNOT),
    "somebody else's loader": ("from mydata import Loader\nLoader('mnist').download()", CANNOT),
    "somebody else's download": ("from mydata import download_dataset\ndownload_dataset('mnist')", CANNOT),
    "a library in a list": ("import keras\nlibraries = [keras]\nlibraries[0].datasets.mnist.load_data()", CANNOT),
    "a library as an argument": ("import keras\ndef run(k):\n  return k.datasets.imdb.load_data()\nrun(keras)", CANNOT),
    "a program by map": ("import os\nlist(map(os.system, commands))", CANNOT),
    "weights of another family": (
        "from torchvision.models.quantization import resnet18\nresnet18(quantize=True, weights='DEFAULT')",
        CANNOT,
    ),
    "a drive": ("from google.colab import drive\ndrive.mount('/content/drive')", CANNOT),
    "a video": ("import yt_dlp\nyt_dlp.YoutubeDL().download(['https://data.example.org/v'])", CANNOT),
    "a data set of Vega": ("from vega_datasets import data\ndata.cars()", CANNOT),
    "a data set of R": ("import statsmodels.api as sm\nsm.datasets.get_rdataset('Guerry', 'HistData')", CANNOT),
    "a file system of HTTP": ("from fsspec.implementations.http import HTTPFileSystem\nHTTPFileSystem().get(path, 'x')", CANNOT),
    "a global that changes": (
        f"import requests\nADDRESS = '{URL}'\ndef use(u):\n  global ADDRESS\n  ADDRESS = u\nrequests.get(ADDRESS)",
        CANNOT,
    ),
    "a list that loses": (f"import subprocess\ncmd = ['wget', '{URL}']\ncmd[1:] = [other]\nsubprocess.run(cmd)", CANNOT),
    "a list with more": (f"import subprocess\ncmd = ['wget', '{URL}']\ncmd.append(other)\nsubprocess.run(cmd)", CANNOT),
    "a program without its command": ("import subprocess\nsubprocess.run(**options)", CANNOT),
    "a module that removes": (f"import os\nos.system('wget {URL}')\nos.remove('x.zip')", URL),
    "files with more": ("import pandas as pd\nfiles = ['a.csv']\nfiles.append(other)\npd.read_parquet(files)", CANNOT),
    "a default of a function": ("from urllib.request import urlopen\ndef get(u, how=urlopen):\n  return how(u)", CANNOT),
    "an attribute by name": ("import operator, keras\noperator.attrgetter('datasets.mnist.load_data')(keras)()", CANNOT),
    "a session without its address": ("import requests\ndef get(s, n):\n  return s.get(n)\nget(requests.Session(), where)", CANNOT),
    "requests, by its module": ("from requests.api import get\nget(u)", CANNOT),
    "another requests": ("from curl_cffi import requests\nrequests.get(u)", CANNOT),
    "a rewritten session": (f"import requests\nS = requests.Session\nwith S() as s:\n  s.get('{URL}')", URL),
    "a data set by position": ("from torchvision.datasets import SVHN\nSVHN('/data', 'train', None, None, flag)", CANNOT),
    "arguments of a dictionary": ("from torchvision import datasets\ndatasets.SVHN(split='train', **options)", CANNOT),
    "a configuration and a version": ("import tensorflow_datasets as tfds\ntfds.load('imagenet_resized/32x32:0.1.0')", CANNOT),
    "a relative import": ("import importlib\nimportlib.import_module('.datasets', 'torchvision').MNIST('.', download=True)", CANNOT),
    "weights of an enumeration": (
        "from torchvision.models import *\nresnet18(weights=ResNet18_Weights.DEFAULT)",
        "https://download.pytorch.org/models/resnet18-f37072fd.pth",
    ),
    "weights by name": ("import torchvision\ntorchvision.models.get_model('resnet50', weights='DEFAULT')", CANNOT),
}


@pytest.mark.parametrize(("source", "asked"), SCRIPTS.values(), ids=SCRIPTS)
def test_a_script(source: str, asked: str, tmp_path: Path) -> None:
    """What is asked for is told by URL or name, and nothing else is; where only a run can tell, that is said."""
    found = rows(tmp_path, source)
    if asked == CANNOT:
        assert "cannot tell" in [row.state for row in found]
    else:
        assert [row.url for row in found] == ([asked] if "://" in asked else names()[asked][: len(found)])
        assert {row.state for row in found} == {"present"}


@pytest.mark.parametrize(
    "source",
    [
        "import pandas as pd\nwith open('x') as f:\n  pd.read_csv(f)",
        "import requests, keras\nprint(requests.__version__, hasattr(keras, 'ops'))",
        "d = {}\nd.get('url')\nfor run in runs:\n  run.send('x')",
        "import subprocess\nsubprocess.run(['bash', '--version'])\nsubprocess.run('ls | wc -l', shell=True)",
        "path = 'C://x'\nprint('redis://localhost')",
        "import keras\nmodel = keras.models.load_model('model.keras')",
        "import spacy\nspacy.load('en_core_web_sm')",
        "from google.colab import files\nfiles.download('model.h5')",
        "def download(name):\n  return name\ndownload('x')\nrows = cursor.fetchall()",
    ],
)
def test_nothing_is_asked_for(source: str, tmp_path: Path) -> None:
    """Ordinary lines ask for nothing."""
    assert rows(tmp_path, source) == []
