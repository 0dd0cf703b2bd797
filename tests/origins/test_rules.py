"""Rules per path."""

from typing import Any

import pytest
from pydantic import ValidationError

from dataset_mirror.origins.identity import parse_url
from dataset_mirror.origins.model import CatalogEntry, Origin, Preset
from dataset_mirror.origins.rules import Rule, Rules
from dataset_mirror.origins.table import Origins

HOST = "https://data.example.org"
COMMIT = "0123456789" * 4
HUB = Rules(
    [
        Rule(match="/api/**/*-token/**", store=False),
        Rule(match="/{repo}/resolve/{commit}/**", freshness="never"),
        Rule(match="/{repo}/resolve/{ref}/**", ref="X-Repo-Commit", scope="{repo}", freshness="1m", when_stale="ask"),
        Rule(match="/**", store=False),
    ]
)


def origin(*rules: dict[str, Any], **more: Any) -> Origin:
    return Origin.model_validate({"url": HOST, "paths": ["/"], "rules": rules, **more})


@pytest.mark.parametrize(
    ("path", "match", "names"),
    [
        pytest.param("/api/models/a/b/xet-read-token/main", "/api/**/*-token/**", {}, id="the first"),
        pytest.param(f"/a/b/resolve/{COMMIT}/x", "/{repo}/resolve/{commit}/**", {"repo": "a/b", "commit": COMMIT}, id="digits"),
        pytest.param("/a/b/resolve/main/x", "/{repo}/resolve/{ref}/**", {"repo": "a/b", "ref": "main"}, id="another name"),
        pytest.param("/a/b", "/**", {}, id="the rest"),
    ],
)
def test_the_first_that_matches(path: str, match: str, names: dict[str, str]) -> None:
    """Of several rules that match, the first one counts; only its own names are remembered."""
    found = HUB.of(path)
    assert found is not None
    assert (found.rule.match, found.names) == ((match,), names)


def test_several_matches() -> None:
    """A rule may have several matches; a path is rewritten by the one that matched."""
    rules = Rules([Rule(match=("/x/{repo}/{ref}", "/y/{ref}/of/{repo}"), ref="X-Commit", scope="{repo}")])
    found = rules.of("/y/main/of/a/b")
    assert found is not None
    assert (found.scope, found.at_commit("/y/main/of/a/b", COMMIT)) == ("a/b", f"/y/{COMMIT}/of/a/b")


def test_no_rule() -> None:
    """A path that no rule matches has none, and neither has an origin without rules."""
    assert Rules([Rule(match="/a/*")]).of("/b") is None
    assert Origin(url=HOST, paths=("/",)).rule("/a") is None


def test_a_commit_in_the_place_of_a_ref() -> None:
    """A path with a ref becomes the path of a commit; the scope is what they share."""
    found = HUB.of("/a/b/resolve/refs%2Fpr%2F1/main/x")
    assert found is not None
    assert found.at_commit("/a/b/resolve/refs%2Fpr%2F1/main/x", COMMIT) == f"/a/b/resolve/{COMMIT}/main/x"
    assert found.scope == "a/b"


def test_a_ref_that_is_not_in_the_path() -> None:
    """A path may mean a ref without naming it; where the same lies at a commit is then written out."""
    ref = {"name": "main", "json": "sha", "at": "/api/{repo}/revision/{commit}"}
    found = Rules([Rule.model_validate({"match": "/api/{repo}", "ref": ref})]).of("/api/a/b")
    assert found is not None
    assert (found.ref, found.scope, found.at_commit("/api/a/b", COMMIT)) == ("main", "a/b", f"/api/a/b/revision/{COMMIT}")


def test_what_never_changes() -> None:
    """`never` is a freshness without end."""
    assert Rule(match="/a", freshness="never").is_immutable
    assert Rule(match="/a", freshness="5m").freshness == 300
    assert Rule(match="/a").freshness is None


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        pytest.param({"match": "a"}, "begins with a slash", id="match"),
        pytest.param({"match": []}, "a list of such", id="no match"),
        pytest.param({"match": ["/{a}/x", "/b"], "scope": "{a}"}, "{a} is not in its match", id="a name that one match lacks"),
        pytest.param({"freshness": "soon"}, "a duration is a number with a unit", id="freshness"),
        pytest.param({"freshness": "never", "when_stale": "ask"}, "never asked for again", id="asks for what never changes"),
        pytest.param({"when_stale": "wait"}, "'serve' or 'ask'", id="when_stale"),
        pytest.param({"digest": "md5-in-path"}, "sha256-in-path", id="digest"),
        pytest.param({"redirect_fields": ["X-Repo-Commit:"]}, "no colon", id="redirect_fields"),
        pytest.param({"query": "drop"}, 'it is "keep"', id="query"),
        pytest.param({"query": []}, 'it is "keep"', id="no names"),
        pytest.param({"store": False, "freshness": "1d", "digest": "sha256-in-path"}, "leave out digest, freshness", id="keeps nothing"),
        pytest.param({"ref": "X-Commit"}, "{ref} in its match", id="no ref in it"),
        pytest.param({"match": "/{ref}", "ref": {}}, "either a field or json", id="ref of nothing"),
        pytest.param({"ref": {"name": "main", "field": "X-Commit"}}, "has `at`", id="a name without a place"),
        pytest.param({"ref": {"name": "m", "field": "X", "at": "/{b}"}}, "{b} is not in its match", id="a place of another name"),
        pytest.param({"match": "/{ref}", "ref": {"json": "sha", "ask": "b/{ref}"}}, "begin with a slash", id="a question that is no path"),
        pytest.param({"ref": {"name": "m", "field": "X", "at": "b/{commit}"}}, "begin with a slash", id="a place that is no path"),
        pytest.param({"index": "https://pypi.example.org/simple/"}, "{project} in it", id="an index of nothing"),
        pytest.param({"index": "https://a b/{project}/"}, "is not a host name", id="an index at no host"),
        pytest.param({"scope": "{repo}"}, "{repo} is not in its match", id="scope"),
        pytest.param({"gated": True}, "`scope`", id="gated without a scope"),
        pytest.param({"fresh": 1}, "Extra inputs", id="no such key"),
    ],
)
def test_a_wrong_rule(wrong: dict[str, Any], message: str) -> None:
    """What makes no sense in a rule is refused with what is wrong."""
    with pytest.raises(ValidationError) as refused:
        Rule.model_validate({"match": "/a/*", **wrong})
    assert message in str(refused.value)


def test_two_rules_with_one_match() -> None:
    """The second of two rules with the same match could never count: it is refused."""
    with pytest.raises(ValidationError, match=r"two rules have the match /a/\*"):
        origin({"match": "/a/*"}, {"match": "/a/*", "store": False})


def test_a_preset_that_lists_a_path_twice() -> None:
    """A preset that lists a path twice is refused, in one block or in two."""
    for origins in ([{"url": HOST, "paths": ["/a/", "/b", "/a/"]}], [{"url": HOST, "paths": ["/a/"]}, {"url": HOST, "paths": ["/a/"]}]):
        with pytest.raises(ValidationError, match=r"lists data\.example\.org/a/ twice"):
            Preset.model_validate({"origins": origins})


def test_later_rules_come_first() -> None:
    """What a later block says of a path wins over a preset's rule, and over one with the same match."""
    preset = Preset(origins=(origin({"match": "/a/*", "freshness": "1d"}, {"match": "/**", "store": False}),))
    assert [origin.rule("/a/b") for origin in Origins([preset])]
    (merged,) = Origins([preset], [origin({"match": "/a/*", "freshness": "1h"}, {"match": "/a/x", "pages": True})])
    assert [rule.match for rule in merged.rules] == [("/a/*",), ("/a/x",), ("/**",)]
    found = merged.rule("/a/b")
    assert found is not None
    assert found.rule.freshness == 3600


def test_rules_that_can_match_nothing() -> None:
    """A rule is idle if nothing that its origin lists, in any block, could match."""
    rules = Origin.model_validate({"url": HOST, "rules": [{"match": "/a/*"}, {"match": "/b/*"}]})
    listing = Origin(url=HOST, paths=("/b/",))
    assert Origins([Preset(origins=(listing,))], [rules]).idle_rules() == [(listing.extended_by(rules), "/a/*")]


def test_a_digest_in_the_path() -> None:
    """A rule may take the digest of the bytes from their URL; what the catalog has counts more."""
    digest, other = "ab" * 32, "cd" * 32
    known = Origins([], [origin({"match": "/blobs/**", "digest": "sha256-in-path"})])
    found = known.expected(parse_url(f"{HOST}/blobs/{digest.upper()}/a.bin"))
    assert found is not None
    assert (found.sha256, found.name) == ((digest,), "")
    assert known.expected(parse_url(f"{HOST}/blobs/a.bin")) is None
    assert known.expected(parse_url(f"{HOST}/sets/{digest}")) is None
    entry = CatalogEntry(url=f"{HOST}/blobs/{digest}", sha256=(other,))
    assert Origins([], known, [entry]).expected(entry.archive) == entry


def test_how_long_it_is_fresh() -> None:
    """A rule's freshness goes before its origin's; a rule without one changes nothing."""
    known = origin({"match": "/a/{commit}", "freshness": "never"}, {"match": "/a/*"}, {"match": "/b", "freshness": 5}, freshness=60)
    assert [known.lifetime(path) for path in (f"/a/{COMMIT}", "/a/x", "/b", "/c")] == [float("inf"), 60, 5, 60]
