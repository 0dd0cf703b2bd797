"""What a client has to trust, for TLS that the mirror answers itself. The key is never served."""

import ssl
from pathlib import Path

from fastapi import APIRouter, Request
from fastapi.responses import Response

from dataset_mirror.doors.ca import CertificateAuthority
from dataset_mirror.mirror import Mirror
from dataset_mirror.rules.environment import AUTHORITIES
from dataset_mirror.rules.marks import MARK_FIELD
from dataset_mirror.serve.access import GUARD_FIELD
from dataset_mirror.serve.asgi import Request as Asked
from dataset_mirror.serve.client import client_address
from dataset_mirror.status.here import Authority, Here

PEM = "application/x-pem-file"


class PemFile(Response):
    """Certificates in PEM."""

    media_type = PEM


router = APIRouter(tags=["trust"])


@router.get("/ca.pem", response_class=PemFile)
@router.head("/ca.pem", response_class=PemFile, include_in_schema=False)
def ca(mirror: Here, trusted: Authority, request: Request) -> PemFile:
    """The mirror's certificate authority, which is good for the origins' hosts only."""
    return _given(mirror, trusted, request, trusted.pem)


@router.get("/ca-bundle.pem", response_class=PemFile)
@router.head("/ca-bundle.pem", response_class=PemFile, include_in_schema=False)
def bundle(mirror: Here, trusted: Authority, request: Request) -> PemFile:
    """The authorities that this machine trusts, and the mirror's: for clients that take one file instead of their own."""
    return _given(mirror, trusted, request, system_authorities() + trusted.pem)


def _given(mirror: Mirror, trusted: CertificateAuthority, request: Request, content: bytes) -> PemFile:
    """What a client sets up by hand with it, which has no mark, is known by its address; a program of ours says its mark itself."""
    address = client_address(Asked.of(request.scope), mirror.settings.forwarded_allow_ips)
    if request.method == "GET" and GUARD_FIELD not in request.headers and address is not None:
        trusted.fetched_by(str(address))
    mark = trusted.mark
    return PemFile(content, headers={"Cache-Control": "no-store", **({MARK_FIELD: mark} if mark else {})})


def system_authorities() -> bytes:
    """The authorities that this machine trusts, in PEM; nothing if it keeps them in no file."""
    default = ssl.get_default_verify_paths().cafile
    for place in (*AUTHORITIES, *([default] if default else [])):
        try:
            return Path(place).read_bytes().rstrip() + b"\n"
        except OSError:
            continue
    return b""
