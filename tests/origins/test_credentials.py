"""Headers of an origin: what they may be, and that they are never shown."""

from pathlib import Path

import pytest

from dataset_mirror.errors import UsageError
from dataset_mirror.origins.credentials import credentials
from dataset_mirror.origins.model import Origin
from dataset_mirror.settings import load

SECRET = "hush-4711-hush"
URL = "https://data.example.org"


def test_variables_are_filled_in(monkeypatch: pytest.MonkeyPatch) -> None:
    """`${NAME}` is that variable of the environment, `$${` stands for itself, and names are in lower case."""
    monkeypatch.setenv("GATE_TOKEN", SECRET)
    assert credentials({"Authorization": "Bearer ${GATE_TOKEN}", "X-Key": "$${a}$b"}) == {
        "authorization": f"Bearer {SECRET}",
        "x-key": "${a}$b",
    }


@pytest.mark.parametrize(
    ("headers", "message"),
    [
        *[pytest.param({name: "a"}, "the mirror's own", id=name) for name in ("Host", "Range", "If-Match", "Content-Type", "Via", "TE")],
        *[pytest.param({name: "a"}, "the mirror's own", id=name) for name in ("Accept-Encoding", "Connection", "Proxy-Authorization")],
        pytest.param({"a b": SECRET}, "a header's name", id="name with a space"),
        pytest.param({f"X: {SECRET}": "a"}, "a header's name", id="field as a name"),
        pytest.param({"X": SECRET + "\r\nY: b"}, "printable ASCII", id="line end"),
        pytest.param({"X": SECRET + "é"}, "printable ASCII", id="not ASCII"),
        pytest.param({"X": ""}, "is empty", id="empty"),
        pytest.param({"X": [SECRET]}, "is a text", id="list"),
        pytest.param({"X": "a", "x": SECRET}, "twice", id="twice"),
        pytest.param({"X": "${NO_SUCH_VARIABLE}"}, "NO_SUCH_VARIABLE, which is not set", id="unset"),
        pytest.param({"X": "${NO SUCH}"}, "no variable's name", id="no variable"),
        pytest.param([SECRET], "is a table", id="no table"),
    ],
)
def test_wrong_headers(headers: object, message: str) -> None:
    """Wrong headers are refused by a sentence that has no value in it."""
    with pytest.raises(ValueError, match="^(?!.*hush).*" + message):
        credentials(headers)


@pytest.mark.parametrize(
    "lines",
    [
        f'headers = {{ Authorization = "{SECRET}\\n" }}',
        f'headers = ["{SECRET}"]',
        f'header = {{ Authorization = "{SECRET}" }}',
        f'Authorization = "{SECRET}"',
        f'connections = 0\nheaders = {{ X = "{SECRET}" }}',
        f'readers = ["somewhere"]\nheaders = {{ X = "{SECRET}" }}',
    ],
)
@pytest.mark.parametrize("url", [f'url = "{URL}"', f'url = "{URL}/path"', ""])
def test_errors_of_settings_hide_them(tmp_path: Path, lines: str, url: str) -> None:
    """Whatever is wrong with an origin's block, the error has no value of a header."""
    (tmp_path / "mirror.toml").write_text(f"[[origins]]\n{url}\n{lines}\n", encoding="utf-8")
    with pytest.raises(UsageError, match=r"^(?!.*hush)In .*origins\.0"):
        load(tmp_path / "mirror.toml")


def test_a_broken_variable_hides_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Origins in the environment that are no JSON are not repeated."""
    monkeypatch.setenv("DATASET_MIRROR_DATA", str(tmp_path))
    monkeypatch.setenv("DATASET_MIRROR_ORIGINS", f'[{{"url": "{URL}", "headers": {{"X": "{SECRET}"}}')
    with pytest.raises(UsageError, match=r"^(?!.*hush).*DATASET_MIRROR_ORIGINS"):
        load()


def test_an_origin_can_be_logged() -> None:
    """Neither the text of an origin nor its dump has a header's value; who needs it asks for it."""
    origin = Origin.model_validate({"url": URL, "headers": {"X": SECRET}})
    assert SECRET not in f"{origin!r} {origin} {origin.model_dump()} {origin.model_dump_json()}"
    assert origin.headers["x"].get_secret_value() == SECRET


def test_a_block_extends_a_preset() -> None:
    """The headers and readers of a later block for the same host win; paths are added."""
    first = Origin.model_validate({"url": URL, "paths": ["/a/"], "headers": {"X": "1", "Y": "1"}, "readers": "10.0.0.1"})
    both = first.extended_by(Origin.model_validate({"url": URL, "paths": ["/b/"], "headers": {"X": "2"}}))
    assert (both.paths, list(both.headers), [str(network) for network in both.readers or ()]) == (("/a/", "/b/"), ["x"], ["10.0.0.1/32"])
