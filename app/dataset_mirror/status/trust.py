"""What a client has to trust, for TLS that the mirror answers itself. The key is never served."""

import ssl
from pathlib import Path

from fastapi import APIRouter
from fastapi.responses import Response

from dataset_mirror.doors.ca import CertificateAuthority
from dataset_mirror.rules.environment import AUTHORITIES

PEM = "application/x-pem-file"


class PemFile(Response):
    """Certificates in PEM."""

    media_type = PEM


def router(trusted: CertificateAuthority) -> APIRouter:
    """The routes of the certificate authority."""
    router = APIRouter(tags=["trust"])

    @router.get("/ca.pem", response_class=PemFile)
    @router.head("/ca.pem", response_class=PemFile, include_in_schema=False)
    def ca() -> PemFile:
        """The mirror's certificate authority, which is good for the origins' hosts only."""
        return _pem(trusted.pem)

    @router.get("/ca-bundle.pem", response_class=PemFile)
    @router.head("/ca-bundle.pem", response_class=PemFile, include_in_schema=False)
    def bundle() -> PemFile:
        """The authorities that this machine trusts, and the mirror's: for clients that take one file instead of their own."""
        return _pem(system_authorities() + trusted.pem)

    return router


def _pem(content: bytes) -> PemFile:
    return PemFile(content, headers={"Cache-Control": "no-store"})


def system_authorities() -> bytes:
    """The authorities that this machine trusts, in PEM; nothing if it keeps them in no file."""
    default = ssl.get_default_verify_paths().cafile
    for place in (*AUTHORITIES, *([default] if default else [])):
        try:
            return Path(place).read_bytes().rstrip() + b"\n"
        except OSError:
            continue
    return b""
