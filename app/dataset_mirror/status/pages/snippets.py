"""How clients are pointed at the mirror: commands for the very address that the page was asked at, to be copied and run."""

from collections.abc import Iterator
from dataclasses import dataclass

from dataset_mirror.errors import BadRequest
from dataset_mirror.origins.model import CatalogEntry
from dataset_mirror.origins.table import Origins
from dataset_mirror.rules.environment import proxy_address
from dataset_mirror.status.wording import literal, shell

EXAMPLE = "keras/boston_housing"
"""Small, with a digest, and in the preset that is on by default."""
HUB, TORCH = "huggingface.co", "download.pytorch.org"


@dataclass(frozen=True, slots=True)
class Step:
    """One thing to copy, and what it does."""

    text: str
    code: str


@dataclass(frozen=True, slots=True)
class Way:
    """One kind of client."""

    key: str
    title: str
    steps: tuple[Step, ...]


def ways(origins: Origins, address: str) -> list[Way]:
    """What clients of each kind have to do."""
    proxy = _proxy(address)
    example = example_of(origins)
    found = [*_by_proxy(address, proxy), *_by_url(address, example), *_of_hosts(origins, address, proxy)]
    order = ("shell", "python", "hub", "pytorch", "keras", "curl", "docker", "slurm", "ci")
    return sorted(found, key=lambda way: order.index(way.key))


def example_of(origins: Origins) -> CatalogEntry | None:
    """The archive of the commands that people copy: a small one of Keras, else the catalog's first."""
    return next(iter(origins.named(EXAMPLE)), None) or next(iter(origins.catalog), None)


def _proxy(address: str) -> str:
    """The address at which the mirror can be a proxy; nothing if `public_url` leads to a path."""
    try:
        return proxy_address(address)
    except BadRequest:
        return ""


def setup_line(address: str) -> str:
    return f'eval "$(curl -fsS {shell(address + "/setup.sh")})"'


def _by_proxy(address: str, proxy: str) -> Iterator[Way]:
    if not proxy:
        return
    line = setup_line(address)
    yield Way(
        "shell",
        "Shell",
        (
            Step("Everything that is started in this shell from now on. Programs and their URLs stay as they are.", line),
            Step("One program only.", f"dataset-mirror run --mirror {shell(proxy)} -- python train.py"),
        ),
    )
    inside = shell(f"{line} && python train.py")
    yield Way(
        "docker",
        "Docker",
        (
            Step("In a Dockerfile, in the step that downloads.", f"RUN {line} && python download.py"),
            Step("In a container that runs.", f"docker run --rm --network host IMAGE sh -c {inside}"),
        ),
    )
    yield Way("slurm", "Slurm", (Step("In a batch script, before the first command.", f"{line}\npython train.py"),))
    yield Way("ci", "CI", (Step("In each job, before the step that downloads (here as GitLab writes it).", f"before_script:\n  - {line}"),))


def _by_url(address: str, example: CatalogEntry | None) -> Iterator[Way]:
    if example is None:
        return
    at = f"{address}/{example.archive}"
    yield Way("curl", "curl", (Step("By URL: the mirror's address, then host and path of the origin.", f"curl -fO {shell(at)}"),))
    name = literal(example.archive.name)
    code = f"import urllib.request\n\nurllib.request.urlretrieve({literal(at)}, {name})"
    yield Way("python", "Python", (Step("By URL; or unchanged, in a shell that is set up as under “Shell”.", code),))
    if not example.keras_home:
        return
    digest = f"\n    file_hash={literal(example.sha256[0])}," if example.sha256 else ""
    home = shell(f"{address}/keras-home.tar?only=mnist,cifar10")
    yield Way(
        "keras",
        "Keras",
        (
            Step(
                "By URL; keras.datasets as they are need the line under “Shell”.",
                f"keras.utils.get_file(\n    origin={literal(at)},{digest}\n)",
            ),
            Step("Without any network later: fill its folder now.", f"mkdir -p ~/.keras && curl -fsS {home} | tar -x -C ~/.keras"),
        ),
    )


def _of_hosts(origins: Origins, address: str, proxy: str) -> Iterator[Way]:
    if origins.get(HUB):
        code = f"export HF_ENDPOINT={shell(f'{address}/{HUB}')}\nexport HF_HUB_DISABLE_XET=1"
        yield Way("hub", "Hugging Face", (Step("For huggingface_hub, transformers and datasets.", code),))
    if proxy:
        hint = "" if origins.get(TORCH) else ' First let the mirror’s operator switch on the preset: presets = [..., "torch"]'
        yield Way("pytorch", "PyTorch", (Step(f"torchvision and torch.hub, unchanged.{hint}", f"{setup_line(address)}\npython train.py"),))
