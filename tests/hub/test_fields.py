"""Fields of the origin's own hop: kept with the archive, and believed where a rule says so."""

from __future__ import annotations

import hashlib
import json

import pytest

from tests.clients.hub import MODEL
from tests.clients.hubs import HOST
from tests.imitations.huggingface import Hub
from tests.serving import Mirror

WEIGHTS = MODEL["model.safetensors"]
DIGEST = hashlib.sha256(WEIGHTS).hexdigest()


def place(hub: Hub, file: str, repository: str = "org/model", ref: str = "") -> str:
    commit = ref or hub.repositories["model", repository].refs["main"]
    return f"/{HOST}/{repository}/resolve/{commit}/{file}"


def test_every_answer_has_them(mirror: Mirror, hub: Hub) -> None:
    """HEAD before anything is there, GET, a part, a hit and a 304 tell commit, digest and size as the hub's own redirect does."""
    path, commit = place(hub, "model.safetensors"), hub.repositories["model", "org/model"].refs["main"]
    head = mirror.get(path, "HEAD")
    answers = [head, mirror.get(path), mirror.get(path, fields={"Range": "bytes=0-9"}), mirror.get(path, "HEAD")]
    answers.append(mirror.get(path, fields={"If-None-Match": answers[1].fields["etag"]}))
    assert [answer.status for answer in answers] == [200, 200, 206, 200, 304]
    for answer in answers:
        assert answer.fields["x-repo-commit"] == commit
        assert answer.fields["x-linked-etag"] == f'"{DIGEST}"'
        assert answer.fields["x-linked-size"] == str(len(WEIGHTS))
        assert answer.fields["x-xet-hash"] is None
    assert answers[1].body == WEIGHTS
    assert "location" not in head.fields


def test_what_they_promise_is_verified(own_mirror: Mirror, own_hub: Hub) -> None:
    """Bytes of the store host that are not those of the promised digest are refused and not kept, as the catalog's are."""
    path = place(own_hub, "model.safetensors")
    own_mirror.get(path, "HEAD")
    own_hub.damaged = True
    with pytest.raises(ConnectionResetError):
        own_mirror.get(path)
    assert "its origin promises sha256" in own_mirror.log
    assert own_mirror.blobs == []


def test_promised_bytes_are_vouched_for(mirror: Mirror, hub: Hub) -> None:
    """What was promised and came is said to be the origin's word; git's name of a small file is no digest of it."""
    mirror.get(place(hub, "model.safetensors"))
    mirror.get(place(hub, "config.json"))
    told = {line["url"].rpartition("/")[2]: line["source"] for line in lines(mirror)}
    assert (told["model.safetensors"], told["config.json"]) == ("origin", "computed")


def lines(mirror: Mirror) -> list[dict[str, str]]:
    return [json.loads(line) for line in (mirror.data / "archives.ndjson").read_text().splitlines() if line.startswith('{"url"')]


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_pages_lead_back(mirror: Mirror, method: str) -> None:
    """The next page of a listing is where the client asked for the first; the same at each address of the mirror."""
    path = f"/{HOST}/api/models/org/model/tree/main"
    for _ in range(2):
        link = mirror.get(f"{path}?recursive=true", method).fields["link"]
        assert link.startswith(f"<{mirror.url}/{HOST}/api/models/org/model/tree/")
    by_name = mirror.get(f"{path}?recursive=true", method, {"Host": f"localhost:{mirror.port}"}).fields["link"]
    assert by_name.startswith(f"<http://localhost:{mirror.port}/{HOST}/api/")
