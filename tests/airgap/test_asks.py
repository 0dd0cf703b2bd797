"""What sources ask for, read from their syntax."""

import pytest

from dataset_mirror.airgap.preflight.asks import Part, asks_of
from dataset_mirror.airgap.preflight.bindings import UNKNOWN
from dataset_mirror.airgap.preflight.loaders import Call
from dataset_mirror.airgap.preflight.python import parsed
from dataset_mirror.airgap.preflight.subjects import Address, Ask, Beginning, Subject, Unclear
from dataset_mirror.errors import UsageError

CIFAR10 = "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz"
MNIST = Call("keras.datasets.mnist.load_data")

DOUBTS = """
from tensorflow import keras
getattr(keras.datasets, name)
vars(keras.applications)[name]
f(keras.datasets.mnist)
keras.utils.get_file("x", url)
"""


def asked_by(source: str) -> list[Ask]:
    return asks_of([Part(parsed(source, "a.py:{}"), "a.py:{}")])


def subjects(source: str) -> list[Subject]:
    return [ask.subject for ask in asked_by(source)]


@pytest.mark.parametrize(
    "source",
    [
        "import keras\nkeras.datasets.mnist.load_data()",
        "import keras as k\nk.datasets.mnist.load_data()",
        "import tf_keras\ntf_keras.datasets.mnist.load_data(path='m.npz')",
        "import tensorflow as tf\ntf.keras.datasets.mnist.load_data()",
        "import tensorflow\ntensorflow.compat.v1.keras.datasets.mnist.load_data()",
        "import tensorflow.keras.datasets.mnist as m\nm.load_data()",
        "from tensorflow import keras\nkeras.datasets.mnist.load_data()",
        "from tensorflow.keras import datasets as d\nd.mnist.load_data()",
        "from keras.datasets import mnist\n(x, y), test = mnist.load_data()",
        "from keras.datasets.mnist import load_data as load\nload()",
        "from keras.datasets import *\nmnist.load_data()",
        "from tensorflow.python.keras.datasets import mnist\nmnist.load_data()",
        "import keras\nmnist = keras.datasets.mnist\nmnist.load_data()",
        "import keras\ndef f():\n  data = keras.datasets.mnist\n  return data.load_data()\ndata = 3",
        "def f():\n  return mnist.load_data()\nfrom keras.datasets import mnist",
        "try:\n  import keras\nexcept ImportError:\n  keras = None\nkeras.datasets.mnist.load_data()",
        "try:\n  from tensorflow.keras.datasets import mnist\nexcept ImportError:\n  from keras.datasets import mnist\nmnist.load_data()",
        "import keras\ngetattr(keras.datasets, 'mnist').load_data()",
        "import importlib\nimportlib.import_module('keras.datasets.mnist').load_data()",
    ],
)
def test_one_data_set(source: str) -> None:
    """However Keras is imported and named, a loader is found, and nothing else."""
    assert {subject.function for subject in subjects(source) if isinstance(subject, Call)} == {MNIST.function}
    assert all(isinstance(subject, Call) for subject in subjects(source))


@pytest.mark.parametrize(
    "source",
    [
        "from keras.datasets import mnist",
        "import keras.applications",
        "'''See " + CIFAR10 + "'''\ndef f():\n  '''" + CIFAR10 + "'''",
        "# " + CIFAR10,
        "from mine import mnist\nmnist.load_data()",
        "from .keras.datasets import mnist\nmnist.load_data()",
        "def f(keras):\n  keras.datasets.mnist.load_data()",
        "import sklearn.datasets as datasets\ndatasets.mnist.load_data()",
        "from keras.applications.resnet50 import preprocess_input as p\np(1)\ndata.map(p)",
        "from keras.layers import *\nDense(3)",
        "import keras\nkeras.utils.get_file('x', origin='file:///tmp/x')",
        "",
    ],
)
def test_nothing(source: str) -> None:
    """What is only imported, described, or somebody else's asks for nothing."""
    assert subjects(source) == []


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("from keras.applications.resnet50 import ResNet50\nResNet50()", Call("keras.applications.ResNet50")),
        ("import keras\nW = 'imagenet'\nkeras.applications.VGG16(True, W)", Call("keras.applications.VGG16", (True, "imagenet"))),
        ("import keras as k\nk.applications.vgg16.VGG16(weights=w)", Call("keras.applications.VGG16", (), {"weights": UNKNOWN})),
        ("import keras as k\nk.applications.VGG16(**w)", Call("keras.applications.VGG16", (), {}, True)),
        (
            "import keras as k\nS = (160, 160)\nT = S + (3,)\nk.applications.MobileNetV2(T)",
            Call("keras.applications.MobileNetV2", ((160, 160, 3),)),
        ),
        (
            "from keras.applications import imagenet_utils as u\nu.decode_predictions(p)",
            Call("keras.applications.decode_predictions", (UNKNOWN,)),
        ),
        ("from keras.datasets import imdb\nimdb.get_word_index()", Call("keras.datasets.imdb.get_word_index")),
        (f"import keras\nkeras.utils.get_file('c', '{CIFAR10}')", Address(CIFAR10, True)),
        (f"from keras.utils import get_file\nU = '{CIFAR10}'\nget_file(origin=U)", Address(CIFAR10, True)),
        (f"from keras.utils import get_file as g\nB = '{CIFAR10[:30]}'\ng('c', f'{{B}}{CIFAR10[30:]}')", Address(CIFAR10, True)),
        (f"from keras.utils import get_file as g\nB = '{CIFAR10[:30]}'\ng('c', B + '{CIFAR10[30:]}')", Address(CIFAR10, True)),
        (f"import requests\nrequests.get('{CIFAR10}')", Address(CIFAR10, True)),
        (f"session.get('{CIFAR10}')", Address(CIFAR10, True)),
        (f"import os\nos.system('wget {CIFAR10} -O c')", Address(CIFAR10, True)),
        (f"SOURCES = ['{CIFAR10}']", Address(CIFAR10)),
        ("SOURCES = f'https://a.org/{name}.zip'", Beginning("https://a.org/")),
        ("B = 'https://a.org'\nx = B + name", Beginning("https://a.org")),
        ("x = 'https://a.org/%s.zip' % name", Beginning("https://a.org/")),
        ("x = 'https://a.org/{}.zip'.format(name)", Beginning("https://a.org/")),
    ],
)
def test_calls_and_urls(source: str, found: Subject) -> None:
    """Arguments are read where they are literals, sums of them, or names that are bound once."""
    assert found in subjects(source)
    assert not any(isinstance(subject, Unclear) for subject in subjects(source))


@pytest.mark.parametrize(
    "source",
    [
        "import keras\ngetattr(keras.datasets, name).load_data()",
        "import keras\ngetattr(keras, name)",
        "import keras\nvars(keras.applications)[name]()",
        "import keras\nkeras.datasets.__dict__[name].load_data()",
        "from keras.applications import ResNet50\nNETS = {'r': ResNet50}",
        "from keras.datasets import mnist\nf(mnist)",
        "from keras.datasets import mnist\nclass A:\n  data = mnist",
        "from keras.datasets import mnist\nself.data = mnist",
        "from functools import partial\nfrom keras.applications import VGG16\npartial(VGG16, weights=None)",
        "import keras\ndef f(data=None):\n  data = data or keras.datasets.mnist\n  data.load_data()",
        "import keras\nif (data := keras.datasets.mnist).load_data(): pass",
        "import keras\nd = keras.datasets.mnist if a else keras.datasets.cifar10",
        "import keras\nglobals()['keras'].datasets.mnist.load_data()",
        "import keras\nnames = globals(); names['keras'].datasets.mnist.load_data()",
        "import keras\nlocals().get('keras').datasets.mnist.load_data()",
        "import keras\nvars()['keras'].datasets.mnist.load_data()",
        "import sys, keras\nsys.modules['keras'].datasets.mnist.load_data()",
        "import sys, keras\nsys.modules.get('keras').datasets.mnist.load_data()",
        "__import__('keras').datasets.mnist.load_data()",
        "import keras\nkeras.utils.get_file('x', url)",
        "import keras\nkeras.utils.get_file('x')",
        "from keras.utils import get_file\nmap(get_file, urls)",
        "from keras.utils import get_file\nU = 'a'\nU = 'b'\nget_file('x', U)",
        "import keras\nkeras.utils.get_file('x', 'https://a.org/\\x1b[31m')",
        "import requests\nrequests.get(f'https://a.org/{name}.zip')",
        "B = 'https://a.org'\nsession.get(B + name)",
        "import requests\nrequests.get('https://a.org/%s.zip' % name)",
        "fetch('https://a.org/{}.zip'.format(name))",
    ],
)
def test_cannot_tell(source: str) -> None:
    """What only a run can tell is said to be so, with its line, and never guessed."""
    asks = asked_by(source)
    assert {type(ask.subject) for ask in asks} == {Unclear}
    assert asks[-1].place == f"a.py:{source.count(chr(10)) + 1}" or "data or" in source


def test_reasons() -> None:
    """A doubt says what it is about."""
    reasons = [str(subject.reason) for subject in subjects(DOUBTS) if isinstance(subject, Unclear)]
    assert reasons == [
        "a part of keras.datasets that a variable names",
        "a part of keras.applications that a variable names",
        "keras.datasets.mnist, handed on as a value",
        "keras.utils.get_file, whose origin is a variable",
    ]


def test_several_meanings() -> None:
    """A name with several meanings may be any of them; one that may be something unknown besides is said to be so."""
    either = "try:\n  from a import data\nexcept E:\n  from keras.datasets import mnist as data\ndata.load_data()"
    assert MNIST in subjects(either)
    unknown = "from keras.datasets import mnist\nif a:\n  mnist = b()\nmnist.load_data()"
    assert [type(subject) for subject in subjects(unknown)] == [Call, Unclear]


def test_cells_share_their_names() -> None:
    """What one part imports, another one uses; each has its own lines."""
    parts = [Part(parsed("import keras", "1:{}"), "1:{}"), Part(parsed("\nkeras.datasets.mnist.load_data()", "2:{}"), "2:{}")]
    assert asks_of(parts) == [Ask("2:2", MNIST)]


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("x = 1\ny = = 2", "a.py:2: this is not Python"),
        ("(" * 100_000, "a.py:1: "),
        ("-" * 200_000 + "1", "nested too deeply"),
        ("a" + ".b" * 100_000, "nested too deeply"),
        ("a" + "+ 'b'" * 50_000, "nested too deeply"),
        ("a = 1\nb\0", "a.py:2: the source has a null byte"),
    ],
    ids=["syntax", "brackets", "signs", "attributes", "sum", "null byte"],
)
def test_hostile_sources(source: str, said: str) -> None:
    """What cannot be read is one sentence, with its line; nothing overflows."""
    with pytest.raises(UsageError) as error:
        asked_by(source)
    assert said in str(error.value)


def test_names_that_grow() -> None:
    """Texts that double with each line, and names made of themselves, end as unknown."""
    doubling = ["t0 = 'a'", *(f"t{number + 1} = t{number} + t{number}" for number in range(60))]
    assert subjects("\n".join([*doubling, "import keras", "keras.utils.get_file('x', t60)"])) == [
        Unclear("keras.utils.get_file, whose origin is a variable")
    ]
    assert subjects("a = b\nb = a\na.load_data()\nc = c + c\nf(c)") == []
    tangled = "\n".join(f"import keras\nn{number} = keras if a else n{(number * 7 + 1) % 50}.datasets" for number in range(50))
    subjects(tangled)
