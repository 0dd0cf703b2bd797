"""The preset huggingface: what its rules make of the hub's URL space."""

import time
from pathlib import Path

import pytest

from dataset_mirror.origins.identity import ArchiveId
from dataset_mirror.origins.presets import read_preset
from dataset_mirror.origins.rules import Matched
from dataset_mirror.origins.table import Origins

COMMIT = "0123456789" * 4
ORIGINS = Origins([read_preset("huggingface", Path())])
CACHE = "/api/resolve-cache"
PASSED_ON = [f"/api/models/a/b/xet-read-token/{COMMIT}", "/api/models/a/b/xet-write-token/main", "/api/whoami-v2", "/api/agent-harnesses"]
PASSED_ON += ["/", "/a/b", "/login", "/api/models", "/api/models/a/b/discussions", "/api/datasets/a/b/parquet/default", "/a/b/tree/main/x"]
STORES = ["cdn-lfs.hf.co", "cas-bridge.xethub.hf.co", "us.aws.cdn.hf.co", "cdn-lfs.huggingface.co"]


def rule(path: str) -> Matched:
    found = ORIGINS.of(ArchiveId("huggingface.co", path)).rule(path)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("path", "scope", "ref", "at"),
    [
        pytest.param("/a/b/resolve/main/x/y.json", "a/b", "main", f"/a/b/resolve/{COMMIT}/x/y.json", id="a file"),
        pytest.param("/gpt2/resolve/v1/y.json", "gpt2", "v1", f"/gpt2/resolve/{COMMIT}/y.json", id="a name without an organisation"),
        pytest.param("/datasets/a/b/resolve/main/x", "datasets/a/b", "main", f"/datasets/a/b/resolve/{COMMIT}/x", id="a data set's file"),
        pytest.param("/spaces/a/b/raw/main/x", "spaces/a/b", "main", f"/spaces/a/b/raw/{COMMIT}/x", id="a space's raw file"),
        pytest.param("/a/b/resolve/refs%2Fpr%2F1/x", "a/b", "refs%2Fpr%2F1", f"/a/b/resolve/{COMMIT}/x", id="a pull request"),
        pytest.param("/api/models/a/b", "a/b", "main", f"/api/models/a/b/revision/{COMMIT}", id="a model"),
        pytest.param("/api/models/gpt2", "gpt2", "main", f"/api/models/gpt2/revision/{COMMIT}", id="a model without an organisation"),
        pytest.param("/api/datasets/a/b", "datasets/a/b", "main", f"/api/datasets/a/b/revision/{COMMIT}", id="a data set"),
        pytest.param("/api/models/a/b/revision/main", "a/b", "main", f"/api/models/a/b/revision/{COMMIT}", id="a model's branch"),
        pytest.param("/api/datasets/a/b/revision/v1", "datasets/a/b", "v1", f"/api/datasets/a/b/revision/{COMMIT}", id="its branch"),
        pytest.param("/api/models/a/b/tree/main", "a/b", "main", f"/api/models/a/b/tree/{COMMIT}", id="a listing"),
        pytest.param("/api/models/a/b/tree/main/c/d", "a/b", "main", f"/api/models/a/b/tree/{COMMIT}/c/d", id="a folder's listing"),
        pytest.param("/api/spaces/a/b/paths-info/main", "spaces/a/b", "main", f"/api/spaces/a/b/paths-info/{COMMIT}", id="some paths"),
    ],
)
def test_what_moves(path: str, scope: str, ref: str, at: str) -> None:
    """What names a branch means the same commit in the whole repository, and lies at the path of that commit for ever."""
    found = rule(path)
    assert (found.scope, found.ref, found.at_commit(path, COMMIT)) == (scope, ref, at)
    assert (found.rule.when_stale, found.rule.is_immutable) == ("ask", False)
    assert rule(at).rule.is_immutable
    assert rule(at).scope == scope


@pytest.mark.parametrize(
    ("path", "scope"),
    [
        pytest.param(f"{CACHE}/models/a/b/{COMMIT}/x/y.json", "a/b", id="a model's file"),
        pytest.param(f"{CACHE}/datasets/a/b/{COMMIT}/x.csv", "datasets/a/b", id="a data set's file"),
    ],
)
def test_small_files(path: str, scope: str) -> None:
    """Where small files lie is immutable, and belongs to the repository."""
    assert (rule(path).rule.is_immutable, rule(path).scope, rule(path).rule.query) == (True, scope, "ignore")


@pytest.mark.parametrize("path", PASSED_ON)
def test_what_is_never_kept(path: str) -> None:
    """Tokens, persons, pages and all that is no archive are passed on, and nothing of them is kept."""
    assert not rule(path).rule.store


@pytest.mark.parametrize(("authority", "yes"), [*((host, True) for host in STORES), ("hf.co", False), ("hf.co.example.org", False)])
def test_where_files_lie(authority: str, yes: bool) -> None:
    """The hub redirects to hosts below its own domains, and nowhere else."""
    origin = ORIGINS.get("huggingface.co")
    assert origin is not None
    assert origin.redirects_may_lead_to(authority) is yes


def test_no_rule_is_idle() -> None:
    """Every rule can match something."""
    assert ORIGINS.idle_rules() == []


@pytest.mark.timed
@pytest.mark.parametrize("part", ["x/paths-info/", "x/tree/", "resolve/", "x/revision/", "info/lfs/objects/"])
def test_long_paths(part: str) -> None:
    """The rule for the longest path is found in a moment, whatever a client made it of; here it is four times as long."""
    (origin,) = read_preset("huggingface", Path()).origins
    path = "/api/models/" + part * (32_000 // len(part))
    began = time.process_time()
    origin.rule(path)
    assert time.process_time() - began < 3
