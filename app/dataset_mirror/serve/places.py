"""Where a client of the mirror finds what an origin names by an absolute URL: at the address that it asked."""

import re
from collections.abc import Callable, Iterable
from urllib.parse import urlsplit

from dataset_mirror.errors import MirrorError
from dataset_mirror.mirror import Mirror
from dataset_mirror.origins.identity import parse_url
from dataset_mirror.rules.links import Place, led_back
from dataset_mirror.serve.asgi import RawFields, Request


def place_of(request: Request, mirror: Mirror, scheme: str) -> Place | None:
    """For a request that names its origin in the first segment of its path; None for all others, whose URLs lead here as they are.

    `scheme` is that of the client's connection; behind a proxy that ends TLS the mirror knows it by `public_url`.
    """
    hosts = request.target.hosts
    if request.intercepted is not None or request.target.authority is not None or len(hosts) != 1:
        return None
    if mirror.origins.get(hosts[0].lower()) is not None:
        return None
    public = urlsplit(mirror.settings.public_url or "")
    base = f"{public.scheme if public.netloc == hosts[0] else scheme}://{hosts[0]}"

    def place(url: str) -> str | None:
        try:
            archive = parse_url(url)
            mirror.origins.of(archive)
        except MirrorError:
            return None
        return f"{base}/{archive.authority}{archive.target}"

    return place


def leading_back(fields: RawFields, place: Place | None) -> RawFields:
    """The fields of an answer with the URLs of Link where `place` says."""
    if place is None or all(name != b"link" for name, _ in fields):
        return fields
    return [(name, led_back(value.decode("latin-1"), place).encode("latin-1") if name == b"link" else value) for name, value in fields]


def redirecting_back(fields: Iterable[tuple[bytes, bytes]], place: Place | None) -> RawFields:
    """The same for an answer that is passed on as it came: where it redirects, too."""
    found = leading_back(list(fields), place)
    if place is None:
        return found
    return [
        (name, (place(value.decode("latin-1")) or value.decode("latin-1")).encode("latin-1") if name == b"location" else value)
        for name, value in found
    ]


LONGEST_PAGE = 64 * 1024 * 1024
"""Bytes of content whose links are led back; longer content stays as it is."""
_REST = rb"/[^\x00-\x20\"'<>\\\x7f-\xff#]*"


def links_led_back(read: Callable[[], bytes], hosts: Iterable[str], place: Place) -> bytes:
    """What `read` gives, in which URLs of these hosts are where `place` says. Blocks."""
    known = b"|".join(re.escape(host).encode() for host in hosts)

    def led(found: re.Match[bytes]) -> bytes:
        there = place(found[0].decode())
        return found[0] if there is None else there.encode()

    return re.sub(rb"https?://(?:" + known + rb")" + _REST, led, read())
