"""Which fields of a query are identity."""

import pytest

from dataset_mirror.origins.queries import identifying

AMAZON = "X-Amz-Algorithm=AWS4&X-Amz-Credential=a%2Fb&X-Amz-Date=1&X-Amz-Expires=3600&X-Amz-Signature=ab&x-id=GetObject"


@pytest.mark.parametrize(
    ("rule", "query", "left"),
    [
        pytest.param("keep", "b=2&a=1&X-Amz-Signature=x", "b=2&a=1&X-Amz-Signature=x", id="keep"),
        pytest.param("ignore", "b=2&a=1", "", id="ignore"),
        pytest.param("drop-signature", f"versionId=7&{AMAZON}", "versionId=7", id="Amazon"),
        pytest.param("drop-signature", "X-Goog-Signature=ab&X-Goog-Date=1&alt=media", "alt=media", id="Google"),
        pytest.param("drop-signature", "a=1&Expires=1&Policy=x&Signature=y&Key-Pair-Id=z", "a=1", id="CloudFront"),
        pytest.param("drop-signature", "sv=1&se=2&sr=b&sp=r&sig=x&snapshot=3", "snapshot=3", id="Azure"),
        pytest.param("drop-signature", "se=2&sp=r&policy=x&expires=1", "se=2&sp=r&policy=x&expires=1", id="no signature beside them"),
        pytest.param("drop-signature", "download=1&file=a", "file=a", id="asks for a download"),
        pytest.param("drop-signature", "response-content-disposition=x&a", "a", id="how to send it"),
        pytest.param("drop-signature", "x%2Damz%2Dsignature=1&a=%2F", "a=%2F", id="an encoded name; values stay as they are"),
        pytest.param(("id", "v"), "x=1&v=2&id=3&id=4", "v=2&id=3&id=4", id="names"),
        pytest.param(("id",), "", "", id="nothing"),
    ],
)
def test_what_is_identity(rule: str | tuple[str, ...], query: str, left: str) -> None:
    """Only the fields that a rule counts are left, in their order and as they are written."""
    assert identifying(query, rule) == left
