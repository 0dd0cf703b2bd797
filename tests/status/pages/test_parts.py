"""What pages are made of: groups of failures, the plot, the disk, commands to copy, calls of libraries."""

from __future__ import annotations

from pathlib import Path

import pytest

from dataset_mirror.errors import NotAllowed
from dataset_mirror.origins.model import CatalogEntry, Origin
from dataset_mirror.origins.presets import read_preset
from dataset_mirror.origins.table import Origins
from dataset_mirror.serve.error_page import error_page
from dataset_mirror.status.figures import Counts, Held, Point, TrafficStatus, UsageRow, UsageStatus
from dataset_mirror.status.models import FailureStatus, StoreStatus
from dataset_mirror.status.own import page_link
from dataset_mirror.status.pages.disk import WIDTH, disk_of
from dataset_mirror.status.pages.guide import rendered
from dataset_mirror.status.pages.loading import calls
from dataset_mirror.status.pages.overview import room
from dataset_mirror.status.pages.plot import Plot
from dataset_mirror.status.pages.problems import grouped
from dataset_mirror.status.pages.snippets import Way, ways
from dataset_mirror.status.wording import coded
from tests.serving import HOST, URL

NOW = 1_800_000_000.0


def failure(name: str, detail: str, at: float, status: int = 502) -> FailureStatus:
    return FailureStatus(at=at, url=f"{URL}/sets/{name}", status=status, detail=detail, hint="Wait.")


def store(**changes: int | None) -> StoreStatus:
    """A disk with 5,000 bytes free, of which 1,000 have to stay so."""
    known: dict[str, object] = {"blob_bytes": 0, "promised": 0, "free": 5_000, "min_free": 1_000, "max_size": None}
    return StoreStatus.model_validate({"path": "/srv", "file_system": "ext4"} | known | changes)


def usage(*sizes: int) -> UsageStatus:
    rows = [UsageRow(name=f"keras/{number}", archives=1, size=size) for number, size in enumerate(sizes)]
    return UsageStatus(by="dataset", rows=rows, archives=len(rows), size=sum(sizes), old_versions=Held(), partial=Held(), quarantine=Held())


def test_one_cause_is_one_problem() -> None:
    """Failures of one origin that differ in the archive and in figures only are one problem, with its first and last time."""
    known = [failure(f"{n}.zip", f"{URL}/sets/{n}.zip broke off after {n}00 bytes.", NOW - n) for n in range(3)]
    one, other = grouped([*known, failure("b.zip", "It is too large.", NOW - 9, 507)])
    assert (one.origin, one.count, one.first, one.last) == (HOST, 3, NOW - 2, NOW)
    assert one.urls[0] == f"{URL}/sets/0.zip"
    assert (other.count, other.status) == (1, 507)


def test_plot() -> None:
    """Each step is as high as its bytes are of the most; without any the shapes are empty."""
    points = [Point(at=NOW, served=0, fetched=0), Point(at=NOW, served=400, fetched=100)]
    plot = Plot.of(TrafficStatus(span="hour", since=NOW, until=NOW, step=10, points=points, total=Counts(), hit_ratio=None))
    assert (plot.top, plot.rate) == (400, 40.0)
    assert plot.served_path == "M0 100V100.0H500.0V0.0H1000.0V100Z"
    assert plot.fetched_path == "M0 100V100.0H500.0V75.0H1000.0V100Z"
    assert Plot([], 10).served_path == Plot(points[:1], 10).served_path == ""


def test_disk() -> None:
    """The largest datasets come first and one after the other; all parts together are the whole bar."""
    disk = disk_of(store(blob_bytes=1_000, promised=500), usage(*range(200, 0, -20)))
    assert [part.dataset for part in disk.parts[:2]] == ["keras/0", "keras/1"]
    assert disk.parts[1].start == pytest.approx(disk.parts[0].width)
    assert sum(part.width for part in disk.parts) == pytest.approx(WIDTH)
    assert {part.kind for part in disk.parts} >= {"rest", "promised", "free", "reserve"}
    assert sum(part.size for part in disk.parts) == disk.whole == 6_000


@pytest.mark.parametrize("changes", [{"max_size": 500, "blob_bytes": 900}, {"free": 0, "blob_bytes": 0}, {"free": 100, "blob_bytes": 50}])
def test_full_disk(changes: dict[str, int]) -> None:
    """The bar of a disk that is full, or fuller than it may be, stays inside its box."""
    disk = disk_of(store(**changes), None)
    assert sum(part.width for part in disk.parts) <= WIDTH + 1e-6
    assert all(part.width > 0 for part in disk.parts)


@pytest.mark.parametrize(
    ("changes", "left"),
    [({}, 4_000), ({"max_size": 1_500, "blob_bytes": 500}, 1_000), ({"promised": 3_000}, 1_000), ({"free": 10}, 0)],
)
def test_room(changes: dict[str, int], left: int) -> None:
    """The room left is what the disk, the limit and the downloads under way leave."""
    assert room(store(**changes)) == left


def of(known: list[Way], key: str) -> list[str]:
    (way,) = [way for way in known if way.key == key]
    return [step.code for step in way.steps]


def test_commands_are_quoted() -> None:
    """An archive whose URL means something to a shell or to Python is quoted in the commands."""
    entry = CatalogEntry(url=f"{URL}/sets/a.zip?a=1&b='$(id)", keras_home=("sets/a b.zip",))
    known = ways(Origins([], [Origin(url=URL, paths=("/sets/",))], [entry]), "http://mirror.lab")
    assert of(known, "curl") == [f"""curl -fO 'http://mirror.lab/{HOST}/sets/a.zip?a=1&b='"'"'$(id)'"""]
    assert f"""origin="http://mirror.lab/{HOST}/sets/a.zip?a=1&b='$(id)",""" in of(known, "keras")[0]
    assert [way.key for way in known] == ["shell", "python", "pytorch", "keras", "curl", "docker", "slurm", "ci"]


def test_below_a_path_is_no_proxy() -> None:
    """A mirror whose `public_url` has a path offers no command that needs a proxy."""
    known = ways(Origins([read_preset("keras", Path())]), "https://mirror.example.org/data")
    assert not any("setup.sh" in step.code or "run" in step.code.split() for way in known for step in way.steps)
    assert of(known, "curl")[0].startswith("curl -fO https://mirror.example.org/data/storage.googleapis.com/")


@pytest.mark.parametrize(
    ("preset", "name", "call"),
    [
        ("keras", "keras/mnist", "keras.datasets.mnist.load_data()"),
        ("tfds", "tfds/mnist", 'tensorflow_datasets.load("mnist")'),
        ("torch", "torch/resnet50", 'torchvision.models.resnet50(weights="IMAGENET1K_V1")'),
        ("torch", "torch/mnist", 'torchvision.datasets.MNIST(root="data", download=True)'),
        ("scikit-learn", "scikit-learn/california_housing", "sklearn.datasets.fetch_california_housing()"),
        ("keras", "keras/applications/resnet50", ""),
    ],
)
def test_calls(preset: str, name: str, call: str) -> None:
    """A dataset is loaded by the function of its own library; where none is known, nothing is made up."""
    written = calls(name, Origins([read_preset(preset, Path())]).named(name))
    assert written.endswith(call)
    assert bool(written) == bool(call)
    compile(written, "example.py", "exec")


def test_guide() -> None:
    """The guide is the README for the very address; no HTML of it is taken for ours, and nothing of it is loaded."""
    text, headings = rendered("http://mirror.lab:81")
    assert len(headings) > 3
    assert all(f'<h2 id="{heading.key}">' in text for heading in headings)
    assert "http://mirror.lab:81/setup.sh" in text
    assert "127.0.0.1:8080" not in text
    assert "<img" not in text
    assert "<script" not in text


def test_code_in_sentences() -> None:
    """What stands between backticks is code, and nothing of a sentence is HTML of its own."""
    assert coded("Check `upstreams` and <b>'s `a<b`.") == "Check <code>upstreams</code> and &lt;b&gt;&#x27;s <code>a&lt;b</code>."
    page = error_page(NotAllowed("`x` is <no>.", 'Set `y`: [[origins]] url = "https://a" paths = ["/"]')).decode()
    assert "<p><code>x</code> is &lt;no&gt;.</p>" in page
    assert "<pre><code>[[origins]]\nurl = &quot;https://a&quot;\npaths = [&quot;/&quot;]</code></pre>" in page


def test_links_to_pages_yield() -> None:
    """Where an origin has the path of a page, the page is linked to below /status/pages."""
    origins = Origins([], [Origin(url=URL, paths=("/datasets/", "/guide"))])
    assert page_link("/datasets/keras/mnist", origins) == "/status/pages/datasets/keras/mnist"
    assert page_link("/guide", origins) == "/status/pages/guide"
    assert page_link("/datasets?q=x", origins) == "/datasets?q=x"
