"""The preset `torch`: the weights and data sets of torchvision, with what calls ask for them; and torch.hub."""

import ast
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from dataset_mirror.origins.model import Origin
from dataset_mirror.origins.presets.source.syntax import MD5, URL, Literals, classes, parameters
from dataset_mirror.origins.presets.source.writing import GITHUB_FILES, Folder, Loads, Made, Row, files_below, package, run

ABOUT = "PyTorch: weights of download.pytorch.org, torchvision's data sets, and torch.hub's repositories (torch/resnet50, torch/mnist)"
NOTE = (
    "From torchvision 0.29. Not fetched by HTTP alone, so not here: CelebA, PCAM and WIDERFace (Google Drive through gdown), ImageNet and"
    " others that are downloaded by hand. torch.hub of other repositories: the preset github. torch.hub asks GitHub which branch is the"
    " default unless a ref is given: write 'pytorch/vision:v0.10.0'."
)
MODELS = "https://download.pytorch.org"
HUB = (
    "/NVIDIA/DeepLearningExamples/",
    "/PingoLH/Pytorch-HarDNet/",
    "/XingangPan/IBN-Net/",
    "/facebookresearch/",
    "/huggingface/pytorch-transformers/",
    "/huggingface/transformers/",
    "/hustvl/yolop/",
    "/intel-isl/MiDaS/",
    "/isl-org/",
    "/mateuszbuda/brain-segmentation-pytorch/",
    "/mit-han-lab/",
    "/pytorch/",
    "/sigsep/open-unmix-pytorch/",
    "/snakers4/silero-models/",
    "/snakers4/silero-vad/",
    "/ultralytics/",
)
"""Repositories that pytorch.org/hub names, and those of a few that are asked for most."""
HUB_RULES: list[dict[str, object]] = [
    {"match": ["/*/*/zipball/{commit}", "/*/*/tarball/{commit}"], "freshness": "never"},
    {"match": ["/*/*/zipball/**", "/*/*/tarball/**", "/*/*/archive/**"], "freshness": "1d"},
    {"match": "/*/*/releases/download/**", "freshness": "never"},
    {"match": ["/*/*/tree/**"], "pages": True, "freshness": "1d"},
]
RULES: dict[str, list[dict[str, object]]] = {
    "download.pytorch.org": [
        {"match": ["/models/**", "/torchaudio/models/**"], "digest": "sha256-prefix-in-name", "freshness": "never"},
    ],
    "github.com": HUB_RULES,
    "openaipublic.azureedge.net": [{"match": ["/main/whisper/models/{sha256}/*", "/clip/models/{sha256}/*"], "digest": "sha256-in-path"}],
}
MORE = (
    Origin(url=MODELS, paths=("/models/", "/torchaudio/", "/tutorial/")),
    Origin(url="https://github.com", paths=HUB, redirects_to=GITHUB_FILES),
    Origin(url="https://openaipublic.azureedge.net", paths=("/clip/", "/main/whisper/models/")),
)
URLS = ("url", "_URL", "_DATASET_URL", "data_url")
MD5S = ("tgz_md5", "zip_md5", "md5", "_MD5", "_ZIP_MD5", "_DATASET_MD5", "_md5")
PREFIXES = ("mirrors", "_download_url_prefix", "download_url_prefix", "_BASE_URL")
HANDED_OUT = ("ImageNet", "FER2013")
"""Classes whose files are downloaded by hand."""
IN_PART = ("CelebA", "PCAM", "WIDERFace", "SBDataset", "Places365", "StanfordCars", "Kinetics", "_LFW", "LFWPeople", "LFWPairs")
"""Classes that ask for more than is known here, or for some of many by several arguments: what a call asks for is not told."""
BY_ARGUMENT = {"SVHN": ("split", "split_list"), "Imagenette": ("size", "_ARCHIVES"), "PhotoTour": ("name", "urls")}
BY_ARGUMENT |= {"INaturalist": ("version", "DATASET_URLS")}
"""Classes that ask for one archive by an argument, and the attribute that has it."""
ERDA = "https://sid.erda.dk/public/archives/daaeac0d7ce1152aea9b61d9f1e19370"
MORE_FILES = {
    "GTSRB": {
        f"{ERDA}/GTSRB-Training_fixed.zip": "513f3c79a4c5141765e10e952eaa2478",
        f"{ERDA}/GTSRB_Final_Test_Images.zip": "c7e4e6327067d32654124b0fe9e82185",
        f"{ERDA}/GTSRB_Final_Test_GT.zip": "fe31e9c9270bbcd7b84b7f21a9d9d9e5",
    },
    "Kitti": {
        "https://s3.eu-central-1.amazonaws.com/avg-kitti/data_object_image_2.zip": "",
        "https://s3.eu-central-1.amazonaws.com/avg-kitti/data_object_label_2.zip": "",
    },
    "SBDataset": {"https://www.cs.cornell.edu/~bharathh/train_noval.txt": "79bff800c5f0b1ec6b21080a3c066722"},
}
"""What stands in no literal of these classes."""


def make(wheel: Path | None) -> Made | None:
    root = package("torchvision", wheel)
    if root is None:
        return None
    weights, weight_loads = of_models(root / "models")
    sets, set_loads = of_datasets(root / "datasets")
    return Made(ABOUT, NOTE, [*weights, *sets], MORE, RULES, [*weight_loads, *set_loads])


# Weights


def of_models(folder: Folder) -> tuple[list[Row], list[Loads]]:
    """The weights of all models, each under the names of the functions that build these, and what calls of them ask for."""
    sources = [(file, ast.parse(file.read_text(encoding="utf-8"))) for file in files_below(folder) if file.name.endswith(".py")]
    known = {node.name: members(node) for _, tree in sources for node in tree.body if isinstance(node, ast.ClassDef) and members(node)}
    rows, loads = [], []
    for file, tree in sources:
        for node in tree.body:
            if isinstance(node, ast.ClassDef) and node.name.endswith("_QuantizedWeights"):
                name = node.name.removesuffix("_QuantizedWeights").lower()
                rows += [Row(url, f"torch/quantized/{name}") for url in dict.fromkeys(members(node).values())]
            if isinstance(node, ast.FunctionDef) and (enum := enum_of(node, "weights")) in known:
                rows += [Row(url, f"torch/{node.name}") for url in dict.fromkeys(known[enum].values())]
                loads += list(loads_of(node, module_of(file, folder), known))
    return rows, loads


def module_of(file: Folder, models: Folder) -> str:
    """The package that people import a model from: torchvision.models, or one below it."""
    folder = str(file).split("/")[-2]
    return "torchvision.models" if folder == models.name else f"torchvision.models.{folder}"


def members(enum: ast.ClassDef) -> dict[str, str]:
    """The URL of each member of a weights enumeration, also by its other names, such as DEFAULT."""
    found: dict[str, str] = {}
    for node in enum.body:
        match node:
            case ast.Assign([ast.Name(name)], ast.Call(keywords=keywords)):
                urls = [keyword.value for keyword in keywords if keyword.arg == "url"]
                if urls and isinstance(urls[0], ast.Constant):
                    found[name] = str(urls[0].value)
            case ast.Assign([ast.Name(name)], ast.Name(other)) if other in found:
                found[name] = found[other]
    return found


def enum_of(function: ast.FunctionDef, parameter: str) -> str:
    """The enumeration that the annotation of a parameter names."""
    annotations = [argument.annotation for argument in (*function.args.args, *function.args.kwonlyargs) if argument.arg == parameter]
    names = re.findall(r"\w+_Weights", ast.unparse(annotations[0])) if annotations and annotations[0] else []
    return names[0] if names else ""


def loads_of(function: ast.FunctionDef, module: str, known: dict[str, dict[str, str]]) -> Iterator[Loads]:
    """What calls of a function that builds a model ask for, by its `weights`, and by the backbone's if these are None."""
    name = f"{module}.{function.name}"
    legacy = legacy_of(function)
    given = f"pretrained=False,{parameters(function)}"
    plain = ";quantize=False" if "quantize=" in given else ""  # a quantized model has weights of its own
    weights = known[enum_of(function, "weights")]
    backbone = known.get(enum_of(function, "weights_backbone"), {})
    for url in dict.fromkeys(weights.values()):
        yield Loads(name, given, f"weights={'|'.join(member for member, its in weights.items() if its == url)}{plain}", [url])
    if (member := legacy.get("weights")) in weights:
        yield Loads(name, given, f"weights=None;pretrained=True{plain}", [weights[member]])
    if not backbone:
        yield Loads(name, given, f"weights=None;pretrained=False{plain}", [])
        return
    for url in dict.fromkeys(backbone.values()):
        chosen = "|".join(member for member, its in backbone.items() if its == url)
        yield Loads(name, given, f"weights=None;pretrained=False;weights_backbone={chosen}", [url])
    yield Loads(name, given, "weights=None;pretrained=False;weights_backbone=None", [])


def legacy_of(function: ast.FunctionDef) -> dict[str, str]:
    """Which member `pretrained=True` means, by parameter."""
    found: dict[str, str] = {}
    for decorator in function.decorator_list:
        for keyword in decorator.keywords if isinstance(decorator, ast.Call) else []:
            match keyword.value:
                case ast.Tuple([_, ast.Attribute(_, member)]) if keyword.arg:
                    found[keyword.arg] = member
    return found


# Data sets


def of_datasets(folder: Folder) -> tuple[list[Row], list[Loads]]:
    """The archives of all data sets, each under the name of its class in lower case, and what calls of them ask for."""
    rows, loads = [], []
    for file in files_below(folder):
        if not file.name.endswith(".py"):
            continue
        tree = ast.parse(file.read_text(encoding="utf-8"))
        constructors = {node.name: constructor(node) for node in tree.body if isinstance(node, ast.ClassDef)}
        for one in classes(tree):
            found = archives(one)
            rows += [Row(url, name_of(one), md5=md5) for url, md5 in found.items()]
            if not one.name.startswith("_"):
                loads += [Loads(f"torchvision.datasets.{one.name}", constructors[one.name], when, its) for when, its in asks(one, found)]
                loads += by_year(one, constructors[one.name])
    return rows, [one for one in loads if "root" in one.parameters]


def name_of(one: Literals) -> str:
    return f"torch/{one.name.strip('_').lower()}"


def archives(one: Literals) -> dict[str, str]:
    """The URLs that a class asks for, with their MD5, empty where it has none."""
    if one.name in HANDED_OUT:
        return {}
    found = dict(one.pairs()) | MORE_FILES.get(one.name, {})
    url = next((one.values[name] for name in URLS if isinstance(one.values.get(name), str)), None)
    md5 = next((one.values[name] for name in MD5S if isinstance(one.values.get(name), str)), "")
    prefix = next((one.values[name] for name in PREFIXES if name in one.values), None)
    if isinstance(url, str) and URL.fullmatch(url) and not url.endswith("/"):
        found.setdefault(url, str(md5) if MD5.fullmatch(str(md5)) else "")
    if prefix is not None:
        first = prefix[0] if isinstance(prefix, list) else str(prefix)
        ending = ".zip" if one.name == "Omniglot" else ""
        found |= {f"{first.rstrip('/')}/{name}{ending}": md5 for name, md5 in one.files()}
    if one.name == "INaturalist":
        urls, md5s = one.values["DATASET_URLS"], one.values["DATASET_MD5"]
        assert isinstance(urls, dict)
        assert isinstance(md5s, dict)
        found |= {url: md5s[version] for version, url in urls.items()}
    if one.name == "_VOCBase":
        years = one.values["DATASET_YEAR_DICT"]
        assert isinstance(years, dict)
        found |= {year["url"]: year["md5"] for year in years.values()}
    return found


def asks(one: Literals, found: dict[str, str]) -> Iterator[tuple[str, list[str]]]:
    """What its constructor asks for: nothing without download=True, then all its archives, or one by an argument."""
    yield "download=False", []
    if one.name in BY_ARGUMENT:
        argument, attribute = BY_ARGUMENT[one.name]
        values = one.values[attribute]
        assert isinstance(values, dict)
        for value, facts in values.items():
            yield (
                f"download=True;{argument}={value}",
                [text for text in ([facts] if isinstance(facts, str) else facts) if URL.fullmatch(text)],
            )
    elif found and one.name not in IN_PART:
        yield "download=True", [name_of(one)]


def by_year(one: Literals, given: str) -> Iterator[Loads]:
    """What VOCSegmentation and VOCDetection ask for, by year."""
    years = one.values.get("DATASET_YEAR_DICT")
    for key, facts in years.items() if isinstance(years, dict) else ():
        year, _, test = key.partition("-")
        sets = "image_set=test" if test else "image_set=train|trainval|val"
        yield Loads(f"torchvision.datasets.{one.name}", given, f"download=True;year={year};{sets}", [facts["url"]])


def constructor(node: ast.ClassDef) -> str:
    """The parameters of its constructor; those of its base, as far as they matter, where it has none or hands them on."""
    found = [each for each in node.body if isinstance(each, ast.FunctionDef) and each.name == "__init__"]
    if not found:
        base = ast.unparse(node.bases[0]) if node.bases else ""
        voc = "root,year=2012,image_set=train,download=False"
        return voc if base == "_VOCBase" else "root,train=True,transform=None,target_transform=None,download=False"
    given = parameters(found[0])
    return given if "download" in given else f"{given},download=False"


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit status."""
    return run("torch", make, arguments)


if __name__ == "__main__":
    sys.exit(main())
