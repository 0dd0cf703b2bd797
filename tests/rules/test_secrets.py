"""Nothing that is written down has a secret in it."""

import time

import pytest

from dataset_mirror.rules.secrets import blurred, has_blurred, without_secrets

SECRET = "s3cr3tValue0123456789abcdef"


@pytest.mark.parametrize(
    "text",
    [
        f"https://user:{SECRET}@data.example.org/a.zip",
        f"https://{SECRET}@data.example.org/a.zip",
        f"https://user:p%40{SECRET}@data.example.org/a.zip",
        f"/https%3A//user%3A{SECRET}%40data.example.org/a.zip",
        f"GET /a.zip?X-Amz-Signature={SECRET}&x=1 HTTP/1.1",
        f"/a.zip?x=1&X%2DGoog%2DSignature={SECRET}",
        f"/a.zip?sv=2020&sig={SECRET}",
        f"/a.zip?Expires=1&Signature={SECRET}&Key-Pair-Id=K",
        f"/a.zip?access_token={SECRET}",
        f"/files/1?private_link={SECRET}",
        f"+https://user:{SECRET}@data.example.org/a.zip",
        f"{'x' * 50}https://user:{SECRET}@data.example.org/a.zip",
        f"/a?url=https%3A%2F%2Fb.example.org%2Fx%3FX-Amz-Signature%3D{SECRET}",
        f"Authorization: Bearer {SECRET}",
        f"{{'authorization': 'Basic {SECRET}'}}",
        f'{{"Authorization": "{SECRET}", "a": 1}}',
        f"(b'authorization', b'token {SECRET}')",
        f"Cookie: session={SECRET}; other={SECRET}",
        f"sent Bearer {SECRET} to it",
        f"hf_{SECRET}",
        f"failed with ghp_{SECRET}",
    ],
)
def test_no_secret_stays(text: str) -> None:
    """Credentials of URLs, signing values, fields of authorization and tokens of known forms are blanked."""
    assert SECRET not in without_secrets(text)
    assert "…" in without_secrets(text)


@pytest.mark.parametrize(
    "text",
    [
        "https://data.example.org/sets/a.zip?version=2&name=b",
        "Fetched https://data.example.org/a.zip: 1,000 bytes in 0.1 s (1.0 MB/s).",
        'For example: token = "…" in mirror.toml, or Basic authentication.',
        "mail@example.org has 12 archives",
        "Authorization: Bearer TOKEN (commands send DATASET_MIRROR_TOKEN).",
    ],
)
def test_plain_words_stay(text: str) -> None:
    """What is no secret is left as it is."""
    assert without_secrets(text) == text


@pytest.mark.timed
@pytest.mark.parametrize("path", ["a.", "a-", "a+", "a://", "a%3A%2F%2F", "a://b:", "?a=", "token ", "cookie:", "=basic 0"])
def test_long_texts(path: str) -> None:
    """A text as long as the longest target takes a moment, whatever a client made it of; here it is eight times as long."""
    text = path * (65_536 // len(path))
    began = time.process_time()
    without_secrets(text)
    assert time.process_time() - began < 5  # a minute and more if the time grew with the square of the length


def test_known_secrets() -> None:
    """A string that is known to be secret is blanked wherever it stands."""
    assert without_secrets(f"x{SECRET}y", [SECRET]) == "x…y"


def test_identity() -> None:
    """A blurred query is the same for the same secret at the same host, another one else, and is blurred again only if that is wanted."""
    query = f"name=b&token={SECRET}&pageToken=x&next_token=y"
    once = blurred(query, "data.example.org")
    assert SECRET not in once
    assert once == blurred(query, "data.example.org") == blurred(once, "data.example.org")
    assert len({once, blurred(query, "other.example.org"), blurred(query.replace("s3", "S4"), "data.example.org")}) == 3
    assert blurred(once, "data.example.org", again=True) != once
    assert (has_blurred(once), has_blurred(query)) == (True, False)
    assert blurred("name=b&pageToken=x&a", "data.example.org") == "name=b&pageToken=x&a"
