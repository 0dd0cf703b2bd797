"""What the hub gives to some only: to the token that may have it, and to nobody else."""

from __future__ import annotations

from pathlib import Path

from tests.clients.hubs import HOST, filled, mirror_of
from tests.imitations.huggingface import Hub
from tests.serving import Mirror

FILE, SECRET = f"/{HOST}/org/gated/resolve/main/x.bin", f"/{HOST}/org/secret/resolve/main/x.bin"
GOOD, OTHER = {"Authorization": "Bearer good"}, {"Authorization": "Bearer other"}


def test_the_origin_decides(own_mirror: Mirror, own_hub: Hub) -> None:
    """Bytes are kept, and sent to a token only after the hub lets it in; others get the hub's own refusal, before and after."""
    assert own_mirror.get(FILE).status == 401
    assert own_mirror.get(FILE, fields=OTHER).status == 403
    first = own_mirror.get(FILE, fields=GOOD)
    assert (first.status, first.body) == (200, b"gated" * 1000)
    assert "private" in first.fields["cache-control"]
    own_hub.forget()
    again = own_mirror.get(FILE, fields=GOOD)
    assert "hit" in again.fields["cache-status"]
    assert own_hub.store.sent == 0
    refused = own_mirror.get(FILE)
    assert (refused.status, refused.fields["x-error-code"]) == (401, "GatedRepo")
    assert own_mirror.get(FILE, fields=OTHER).status == 403
    assert own_mirror.get(FILE, "HEAD", OTHER).status == 403


def test_a_token_that_comes_first(own_mirror: Mirror, own_hub: Hub) -> None:
    """A private repository that nobody asked for before is for its token too, and no host but the hub ever gets that."""
    assert own_mirror.get(SECRET, fields=GOOD).body == b"secret" * 1000
    assert own_mirror.get(SECRET).status == 401
    assert own_mirror.get(SECRET, fields=OTHER).status == 404
    assert not any("authorization" in asked.fields for asked in own_hub.store.asked)


def test_a_public_repository_never_sees_a_token(own_mirror: Mirror, own_hub: Hub) -> None:
    """What everybody may have is asked for without credentials, whoever asks, and everybody gets it."""
    path = f"/{HOST}/org/model/resolve/main/config.json"
    assert own_mirror.get(path, fields=GOOD).status == 200
    assert own_mirror.get(path).status == 200
    assert not any("authorization" in asked.fields for asked in own_hub.asked)


def test_nothing_of_a_token_stays(own_mirror: Mirror) -> None:
    """No file of the data folder, no list and no log has a token; a person who looks into the tree does not find the file."""
    own_mirror.get(FILE, fields={"Authorization": "Bearer good"})
    own_mirror.get("/huggingface.co/api/whoami-v2", fields={"Authorization": "Bearer good"})
    everything = b"".join(file.read_bytes() for file in own_mirror.data.rglob("*") if file.is_file())
    assert b"Bearer" not in everything
    assert "Bearer" not in own_mirror.log
    assert not list((own_mirror.data / "tree").rglob("x.bin"))


def test_offline_it_is_refused(tmp_path: Path) -> None:
    """Offline nobody can say who may have it: it is refused, unless the operator gives it to the origin's readers."""
    with Hub() as hub, mirror_of(filled(hub), tmp_path / "data") as mirror:
        assert mirror.get(FILE, fields=GOOD).status == 200
        mirror.restart("--offline")
        assert mirror.get(FILE, fields=GOOD).status in (401, 404)
        mirror.stop()
        block = {"url": f"https://{HOST}", "offline_gated": "readers", "readers": ["127.0.0.1"]}
        with mirror_of(hub, tmp_path / "data", offline=True, origins=[block]) as again:
            assert again.get(FILE).body == b"gated" * 1000


def test_what_is_never_kept(own_mirror: Mirror, own_hub: Hub) -> None:
    """Who somebody is, and tokens, are passed on with the client's own fields, afresh each time."""
    for token in ("good", "other"):
        answer = own_mirror.get(f"/{HOST}/api/whoami-v2", fields={"Authorization": f"Bearer {token}"})
        assert own_hub.tokens[token].encode() in answer.body
    assert own_mirror.get(f"/{HOST}/api/whoami-v2").status == 401
    assert own_mirror.get(f"/{HOST}/api/models/org/model/xet-read-token/main").status == 200
    assert own_mirror.blobs == []
