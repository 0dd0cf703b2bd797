"""Questions that are asked by POST, imitated after Kaggle's API: kept once whatever URL is signed, for those whom Kaggle lets in."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator

import pytest

from tests.imitations.kaggle import API, STORAGE, DataSet, Kaggle, zipped
from tests.imitations.web import Web
from tests.serving import Answer, Mirror

SERVICE = f"/{API}/v1/datasets.DatasetApiService"
GOOD, OTHER = {"Authorization": "Bearer good"}, {"Authorization": "Bearer other"}
OPEN: dict[str, object] = {"ownerSlug": "o", "datasetSlug": "open", "datasetVersionNumber": 1}
MINE: dict[str, object] = OPEN | {"datasetSlug": "mine"}
SECRET = b"secret" * 5000


@pytest.fixture(scope="module")
def web() -> Iterator[Web]:
    sets = {"o/open": DataSet({"a.csv": b"a,b\n" * 9000}), "o/mine": DataSet({"x.bin": SECRET}, readers=frozenset(["good"]))}
    with Web(Kaggle(sets).sites) as running:
        yield running


@pytest.fixture(scope="module")
def mirror(web: Web, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mirror]:
    with Mirror(tmp_path_factory.mktemp("kaggle") / "data", presets=["keras", "kaggle"], upstreams=web.upstreams, grace=1) as running:
        yield running


def ask(
    mirror: Mirror, method: str, said: dict[str, object], fields: dict[str, str] | None = None, kind: str = "application/json"
) -> Answer:
    return mirror.get(f"{SERVICE}/{method}", "POST", {"Content-Type": kind, **(fields or {})}, json.dumps(said).encode())


def test_kept_once(mirror: Mirror, web: Web) -> None:
    """What everybody may have is kept for its question, in whatever order its fields come; the next one asks nobody."""
    first = ask(mirror, "DownloadDataset", OPEN)
    assert (first.status, first.body) == (200, zipped({"a.csv": b"a,b\n" * 9000}))
    assert "md5=" in first.fields["x-goog-hash"]
    web.forget()
    again = ask(mirror, "DownloadDataset", dict(reversed(OPEN.items())))
    assert (again.body, web.asked) == (first.body, [])
    assert "hit" in again.fields["cache-status"]


def test_nobody_goes_on_by_get(mirror: Mirror) -> None:
    """The answer to a POST is whole whatever Range says, and says that it has no parts: a GET of its URL would be another question."""
    answer = ask(mirror, "DownloadDataset", OPEN, {"Range": "bytes=5-"})
    assert (answer.status, answer.fields["accept-ranges"]) == (200, "none")


def test_whom_kaggle_lets_in(mirror: Mirror, web: Web) -> None:
    """A private set is for those whose credentials Kaggle accepts, asked for each client, and for nobody else, before and after."""
    assert ask(mirror, "DownloadDataset", MINE).status == 403
    first = ask(mirror, "DownloadDataset", MINE, GOOD)
    assert (first.status, first.body) == (200, zipped({"x.bin": SECRET}))
    assert "private" in first.fields["cache-control"]
    web.forget()
    assert "hit" in ask(mirror, "DownloadDataset", MINE, GOOD).fields["cache-status"]
    assert ask(mirror, "DownloadDataset", MINE, OTHER).status == 403
    assert ask(mirror, "DownloadDataset", MINE).status == 403
    assert web.sent < len(SECRET)


def test_nothing_of_a_token_stays(mirror: Mirror, web: Web) -> None:
    """Credentials go to Kaggle alone, never to where the bytes are, and into no file and no log; nor does a signature."""
    basic = {"Authorization": f"Basic {base64.b64encode(b'user:key').decode()}"}
    for fields in (GOOD, basic):
        ask(mirror, "DownloadDataset", MINE, fields)
        mirror.get(f"/{API}/v1/datasets.DatasetApiService/Other", "POST", fields, b"{}")
    assert not any("authorization" in asked.fields for asked in web.asked_of(STORAGE))
    everything = b"".join(file.read_bytes() for file in mirror.data.rglob("*") if file.is_file()) + mirror.log.encode()
    assert b"Bearer" not in everything
    assert basic["Authorization"].encode() not in everything
    assert b"X-Goog-Signature" not in everything


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("application/json", {"ownerSlug": "o", "datasetSlug": "open", "datasetVersionNumber": 1, "fileName": "a.csv"}),
        ("application/json", {"ownerSlug": "o", "datasetSlug": "open", "datasetVersionNumber": 1, "more": {"x": 1}}),
        ("application/json", {"datasetSlug": "open"}),
        ("text/plain", {"ownerSlug": "o", "datasetSlug": "open", "datasetVersionNumber": 1}),
    ],
    ids=["a field of its own", "an object", "no scope", "no JSON"],
)
def test_other_questions(kind: str, said: dict[str, object], mirror: Mirror, web: Web) -> None:
    """A question that the rule is not for is passed on with all that it sent, and what comes back is not kept."""
    before = mirror.blobs
    answer = ask(mirror, "DownloadDataset", said, kind=kind)
    assert answer.status in (302, 404)
    assert json.loads(web.asked_of(API)[-1].body) == said
    assert mirror.blobs == before


def test_one_object_only(mirror: Mirror, web: Web) -> None:
    """A body that parsers read in different ways reaches the origin as it was understood here."""
    body = b'{"ownerSlug": "o", "datasetSlug": "none", "datasetSlug": "open", "datasetVersionNumber": 7}'
    mirror.get(f"{SERVICE}/DownloadDataset", "POST", {"Content-Type": "application/json"}, body)
    assert web.asked_of(API)[-1].body == b'{"datasetSlug":"open","datasetVersionNumber":7,"ownerSlug":"o"}'
