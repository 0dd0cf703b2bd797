"""/status/explain: hit, miss or refusal, and why, without fetching anything."""

import json
from typing import Any

from tests.conftest import StartMirror
from tests.origin import Origin, body
from tests.serving import HOST, URL, Mirror


def explained(mirror: Mirror, url: str) -> dict[str, Any]:
    answer = mirror.get(f"/status/explain?url={url}")
    assert answer.status == 200, answer.body
    known: dict[str, Any] = json.loads(answer.body)
    return known


def test_a_hit(origin: Origin, mirror: Mirror) -> None:
    """A stored archive is a hit; when its origin is asked again is told."""
    origin.add("/sets/a.bin", body(1000))
    mirror.archive("/sets/a.bin")
    known = explained(mirror, f"{URL}/sets/a.bin")
    assert (known["outcome"], known["status"], known["url"]) == ("hit", 200, f"{URL}/sets/a.bin")
    assert "1,000 bytes" in known["why"][0]
    assert known["at"] == [f"/{HOST}/sets/a.bin", "/sets/a.bin"]
    assert len(origin.requests) == 1


def test_a_miss(origin: Origin, mirror: Mirror) -> None:
    """A listed archive that is not there is a miss; from where it would come is told, and nothing is fetched."""
    known = explained(mirror, f"/{HOST}/sets/a.bin")
    assert (known["outcome"], known["asked"]) == ("miss", [f"{origin.url}/sets/a.bin"])
    assert origin.requests == []


def test_a_name_of_the_catalog(mirror: Mirror) -> None:
    """A catalog's name stands for its archive, whose digest is known beforehand."""
    known = explained(mirror, "keras/boston_housing")
    assert known["url"].endswith("boston_housing.npz")
    assert "f553886a" in " ".join(known["why"])


def test_a_url_that_no_origin_lists(mirror: Mirror) -> None:
    """It is a refusal with the command that allows it."""
    known = explained(mirror, "https://other.example.org/a.zip")
    assert (known["outcome"], known["status"]) == ("refusal", 403)
    assert "dataset-mirror add 'https://other.example.org/a.zip'" in known["hint"]


def test_offline(start_mirror: StartMirror) -> None:
    """What is not there is refused while the mirror is offline."""
    known = explained(start_mirror(offline=True), f"{URL}/sets/a.bin")
    assert (known["outcome"], known["status"], known["asked"]) == ("refusal", 504, [])


def test_an_origin_that_said_no(origin: Origin, mirror: Mirror) -> None:
    """A 404 of the origin a moment ago is a refusal that says so."""
    mirror.archive("/sets/none.bin")
    known = explained(mirror, f"{URL}/sets/none.bin")
    assert (known["outcome"], known["status"]) == ("refusal", 404)


def test_a_page_of_the_mirror(mirror: Mirror) -> None:
    """A path of the mirror's own is no archive; what is no URL at all is a 400."""
    assert explained(mirror, "/healthz")["outcome"] == "refusal"
    assert mirror.get("/status/explain?url=ftp://x/y").status == 400


def test_a_failure_with_a_secret(origin: Origin, mirror: Mirror) -> None:
    """Why an archive could not be fetched the last time is told without the secrets of where its origin led to."""
    secret = "0123456789abcdef0123"
    origin.add("/sets/a.bin", body(1000), status=302, headers={"Location": f"ftp://user:{secret}@cdn.example.org/a.bin"})
    assert mirror.archive("/sets/a.bin").status == 403
    known = explained(mirror, f"{URL}/sets/a.bin")
    assert "redirects to" in known["why"][1]
    for path in (f"/status/explain?url={URL}/sets/a.bin", f"/archives/{HOST}/sets/a.bin", "/status", "/", "/activity", "/origins"):
        assert secret.encode() not in mirror.get(path).body, path
