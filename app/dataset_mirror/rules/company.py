"""The proxy that the environment names: what `upstream_proxy = "env"` takes, and what is said of one that is not used."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from urllib.parse import urlsplit

from dataset_mirror.rules.marks import unmarked
from dataset_mirror.rules.no_proxy import exemption

FROM_ENVIRONMENT = "env"
"""The value of `upstream_proxy` that means this."""
_PROXIES = ("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY", "http_proxy")
"""As curl reads them; upper-case HTTP_PROXY may be a request's field (httpoxy)."""
_EXCEPTIONS = ("no_proxy", "NO_PROXY")


@dataclass(frozen=True, slots=True)
class Company:
    """A proxy's URL, and the hosts that are reached without it."""

    proxy: str
    exceptions: tuple[str, ...]

    @property
    def place(self) -> str:
        """Its host and port, without what may be a password."""
        try:
            return urlsplit(self.proxy).netloc.rpartition("@")[2]
        except ValueError:
            return "?"


def company_proxy(known: Mapping[str, str]) -> Company | None:
    """The environment's proxy, if it names one that is not a mirror's own setup.sh. Exceptions that nobody can read are left out."""
    proxy = next((value for name in _PROXIES if (value := known.get(name, "").strip())), "")
    if not proxy or unmarked(proxy)[1]:
        return None
    listed = next((value for name in _EXCEPTIONS if (value := known.get(name, ""))), "")
    entries = [entry for part in listed.split(",") if (entry := part.strip())]
    return Company(proxy if "://" in proxy else f"http://{proxy}", tuple(entry for entry in entries if _is_known(entry)))


def _is_known(entry: str) -> bool:
    with suppress(ValueError):
        exemption(entry)
        return True
    return False
