"""The hosts that an origin may redirect to."""

import pytest

from dataset_mirror.origins.hosts import allows, redirect_host

STARS = ["*.cloudfront.net", "*.github.io", "*.blob.core.windows.net", "*.storage.googleapis.com", "*.localhost", "*.10.0.0.1", "*.[::1]"]
STARS += ["*.amazonaws.com", "*.s3.amazonaws.com", "*.s3.eu-west-1.amazonaws.com"]


@pytest.mark.parametrize(
    ("listed", "authority", "yes"),
    [
        pytest.param("cdn.example.org", "cdn.example.org", True, id="the very host"),
        pytest.param("cdn.example.org", "a.cdn.example.org", False, id="below it"),
        pytest.param("*.hf.co", "cdn-lfs.hf.co", True, id="one below"),
        pytest.param("*.hf.co", "cas-bridge.xethub.hf.co", True, id="two below"),
        pytest.param("*.hf.co", "hf.co", False, id="not the host itself"),
        pytest.param("*.hf.co", "nothf.co", False, id="no other name with that ending"),
        pytest.param("*.hf.co", "a.hf.co.example.org", False, id="not somewhere in the middle"),
        pytest.param("*.hf.co", "a.hf.co:8443", False, id="another port"),
        pytest.param("*.hf.co:8443", "a.hf.co:8443", True, id="that port"),
        pytest.param("*.HF.co", "a.hf.co", True, id="capitals"),
    ],
)
def test_what_an_entry_allows(listed: str, authority: str, yes: bool) -> None:
    """An entry allows one host, or with a star those below a host."""
    assert allows(redirect_host(listed), authority) is yes


@pytest.mark.parametrize(
    "written",
    [
        *STARS,
        "*",
        "*.",
        "*.com",
        "*.co",
        "*.co.uk",
        "*.com.au",
        "*.ac.jp",
        "*.amazonaws.com",
        "*.s3.amazonaws.com",
        "*.s3.eu-west-1.amazonaws.com",
    ],
)
def test_a_star_too_wide(written: str) -> None:
    """A star that would allow hosts of other organisations is refused."""
    with pytest.raises(ValueError, match=r"other organisations|not a host"):
        redirect_host(written)


@pytest.mark.parametrize("written", ["", "a.*.org", "cdn-*.hf.co", "https://hf.co", "hf.co/x", "u@hf.co", "**.hf.co"])
def test_no_host(written: str) -> None:
    """What is no host is refused."""
    with pytest.raises(ValueError, match="is not a host"):
        redirect_host(written)


@pytest.mark.parametrize("written", ["*.hf.co", "*.xethub.hf.co", "*.githubusercontent.com", "*.example.co.uk", "*.kaggle.io"])
def test_a_star_of_one_organisation(written: str) -> None:
    """A star below a domain of one organisation is allowed."""
    assert redirect_host(written) == written
