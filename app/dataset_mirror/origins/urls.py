"""URLs of servers, as settings write them."""

from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field

from dataset_mirror.errors import BadRequest
from dataset_mirror.origins.lists import as_list
from dataset_mirror.rules.authority import DEFAULT_PORTS, normal_authority


def _checked(url: str) -> str:
    parts = urlsplit(url.replace("{host}", "host"))
    if parts.scheme not in DEFAULT_PORTS or not parts.hostname:
        raise ValueError("a URL begins with http:// or https:// and a host")
    try:
        normal_authority(parts.netloc.rpartition("@")[2], parts.scheme)
    except BadRequest as error:
        raise ValueError(error.detail) from None
    return url


def _base(url: str) -> str:
    if not {"?", "#"}.isdisjoint(_checked(url)):
        raise ValueError("paths are put behind it, so it has no query and no fragment")
    return url.rstrip("/")


def _by_host(upstreams: dict[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
    """The same by the hosts' normal form, in which they are looked up."""
    try:
        named = {normal_authority(host, *DEFAULT_PORTS): bases for host, bases in upstreams.items()}
    except BadRequest as error:
        raise ValueError(f"{error.detail.removesuffix('.')}; a key is an origin's host, such as storage.googleapis.com") from None
    if len(named) < len(upstreams):
        raise ValueError("two keys are the same host")
    return named


BaseUrl = Annotated[str, AfterValidator(_base)]
"""Scheme, host and perhaps a folder, without a slash at its end."""
BaseUrls = Annotated[tuple[BaseUrl, ...], BeforeValidator(as_list), Field(min_length=1)]
Upstreams = Annotated[dict[str, BaseUrls], AfterValidator(_by_host)]
"""Base URLs by the host of an origin, in its normal form. `{host}` in one stands for that."""
WebhookUrl = Annotated[str, Field(min_length=1), AfterValidator(lambda url: _checked(url.strip()))]
"""Kept as it is, but for spaces: it may be signed."""
