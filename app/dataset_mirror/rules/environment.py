"""The environment that leads unmodified clients through the mirror: one list for `/setup.sh` and for `run`."""

import re
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from urllib.parse import urlsplit

from dataset_mirror.errors import BadRequest
from dataset_mirror.rules.host import is_plain_host
from dataset_mirror.rules.marks import marked

PROXY = ("HTTPS_PROXY", "https_proxy")
PLAIN_PROXY = ("HTTP_PROXY", "http_proxy")
"""For plain http, too; only on demand, for the mirror refuses what no origin lists there."""
EXCEPT = ("NO_PROXY", "no_proxy")
TRUST = (
    "SSL_CERT_FILE",  # Python's ssl, OpenSSL, Go, httpx
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
    "GIT_SSL_CAINFO",
    "PIP_CERT",
    "AWS_CA_BUNDLE",
    "NODE_EXTRA_CA_CERTS",
    "CONDA_SSL_VERIFY",
)
WGET = "WGETRC"
"""wget built with GnuTLS reads none of the others."""
_FSSPEC = '{"client_kwargs":{"trust_env":true}}'
SWITCHES = {
    "NLTK_ALLOW_PROXIED_URLOPEN": "1",  # nltk from 3.10 on refuses proxies and private addresses
    "FSSPEC_HTTPS": _FSSPEC,  # fsspec's aiohttp knows no proxy else
    "FSSPEC_HTTP": _FSSPEC,
    "HF_HUB_DISABLE_XET": "1",  # its chunks come from hosts and by tokens that nobody may keep; the same files come by https
    "NODE_USE_ENV_PROXY": "1",  # node from 24 on
    "GIT_HTTP_PROXY_AUTHMETHOD": "basic",  # else git says the mark in the proxy's URL only when it is asked for it
}
"""What makes single clients heed the variables above. What the client has set itself stays."""
LOOPBACK_NAMES = ("localhost", "127.0.0.1", "::1")
AUTHORITIES = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem")
"""Where systems keep the authorities that they trust: Debian and its kin, Fedora and its kin, macOS and BSD."""

FOLDER = "dataset-mirror"
"""Below the user's cache folder."""
BUNDLE, OWN, WGETRC, OWN_WGETRC = "ca-bundle.pem", "own.pem", "wgetrc", "own.wgetrc"
ARIA2 = "aria2.conf"
"""For aria2c --conf-path: it reads no variable, neither for authorities nor for its configuration."""
ARIA2_HOMES = (".aria2/aria2.conf", ".config/aria2/aria2.conf")
"""Where its own configuration is, below the home folder; the first one that is there."""


def proxy_address(address: str) -> str:
    """An address at which a mirror can be a proxy: scheme, host and port. BadRequest for anything else."""
    scheme, _, host = address.removesuffix("/").partition("://")
    if scheme.lower() not in ("http", "https") or not is_plain_host(host):
        raise BadRequest(f"{address!r} cannot be a proxy's address.", "It has to be scheme, host and port: http://mirror.lab:8080")
    return f"{scheme.lower()}://{host}"


def host_of(address: str) -> str:
    """The host as NO_PROXY has it: without port and brackets."""
    return urlsplit(address).hostname or ""


def label(address: str) -> str:
    """A folder's name for what belongs to the mirror at `address`."""
    readable = re.sub(r"[^A-Za-z0-9.]+", "-", urlsplit(address).netloc).strip("-.")
    return f"{readable[:80]}-{sha256(address.encode()).hexdigest()[:8]}"


def variables(address: str, place: Path, known: Mapping[str, str], *, http: bool, mark: str | None = None) -> dict[str, str]:
    """What to set for the mirror at `address`; `place` holds the bundle and the wgetrc, `known` is what is set already.

    `mark` tells the mirror which of its certificates is in the bundle.
    """
    around = no_proxy(address, *(known.get(name, "") for name in reversed(EXCEPT)))
    return {
        **dict.fromkeys(PROXY + (PLAIN_PROXY if http else ()), marked(address, mark)),
        **dict.fromkeys(EXCEPT, around),
        **dict.fromkeys(TRUST, str(place / BUNDLE)),
        WGET: str(place / WGETRC),
        **{name: known.get(name) or value for name, value in SWITCHES.items()},
    }


def no_proxy(address: str, *known: str) -> str:
    """These lists together, with the mirror itself and loopback names."""
    parts = [part for one in known for part in one.replace(" ", ",").split(",") if part]
    return ",".join(dict.fromkeys([*parts, host_of(address), *LOOPBACK_NAMES]))
