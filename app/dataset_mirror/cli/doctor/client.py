"""What `doctor --client` looks at: the way from this machine to a mirror, as an unmodified client goes it."""

import hashlib
import shlex
import ssl
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx

from dataset_mirror.cli.doctor.kinds import Kind, try_all
from dataset_mirror.cli.run import authority_of
from dataset_mirror.doors import certificates
from dataset_mirror.errors import MirrorError
from dataset_mirror.rules.counted import counted
from dataset_mirror.rules.environment import PROXY, TRUST, host_of
from dataset_mirror.rules.marks import unmarked
from dataset_mirror.upkeep.checkup import Finding

_PATIENCE = 60.0
_CHUNK = 1 << 20
_SMALLEST = 20


def check_client(address: str, known: Mapping[str, str]) -> Iterator[Finding]:
    """All about this client and the mirror at `address`; `known` is the client's environment."""
    try:
        pem, mark = authority_of(address)
    except MirrorError as error:
        yield Finding("mirror", error.detail, error.hint)
        return
    yield Finding("mirror", f"{address} answers.")
    hint = f'Run: eval "$(curl -fsS {shlex.quote(address + "/setup.sh")})"'
    proxy, trust = _proxy(address, known, hint), _trust(pem, known, hint)
    yield proxy
    if proxy.is_good:
        yield from _mark(mark, known, hint)
    yield from _exceptions(address, certificates.named_hosts(certificates.of_pem(pem)), hint)
    yield trust
    if proxy.is_good and trust.is_good:
        yield _download(address, hint)
    else:
        yield Finding("download", "It was not tried.", "Fix the findings above first.")


def kinds_of(address: str, known: Mapping[str, str]) -> list[Kind]:
    """How each kind of client that is installed here fares with an archive; nothing if the mirror names none."""
    try:
        url, _ = _tried_url(address)
    except (httpx.HTTPError, ValueError, LookupError, StopIteration):
        return []
    return try_all(url, known, f'Run: eval "$(curl -fsS {shlex.quote(address + "/setup.sh")})"')


def _proxy(address: str, known: Mapping[str, str], hint: str) -> Finding:
    """In both spellings, for clients read the one or the other."""
    wrong = [name for name in PROXY if unmarked(known.get(name, ""))[0].rstrip("/") != address]
    if not wrong:
        return Finding("proxy", f"{' and '.join(PROXY)} are {address}.")
    name = wrong[0]
    return Finding("proxy", f"{name} does not point to the mirror." if known.get(name) else f"{name} is not set.", hint)


def _mark(mark: str | None, known: Mapping[str, str], hint: str) -> Iterator[Finding]:
    """If the proxy's URL does not say that this client trusts the present authority, where it has to."""
    said = unmarked(known[PROXY[0]])[1]
    if mark is None or said == mark:
        return
    fact = "was set up before the mirror got its latest origins" if said else "does not say in its proxy's URL which authority it trusts"
    yield Finding("mark", f"This shell {fact}: hosts that were added later are tunnelled, and come from their origins each time.", hint)


def _exceptions(address: str, hosts: frozenset[str], hint: str) -> Iterator[Finding]:
    """As Python's standard library reads them."""
    name = host_of(address)
    if urllib.request.proxy_bypass(name):
        yield Finding("exceptions", f"NO_PROXY names the mirror, {name}.")
    else:
        yield Finding("exceptions", f"NO_PROXY does not name the mirror, {name}: requests to it go by way of itself.", hint)
    passed = sorted(host for host in hosts if urllib.request.proxy_bypass(host))
    if passed:
        yield Finding("exceptions", f"NO_PROXY keeps {', '.join(passed)} away from the mirror.", "Take that out of NO_PROXY and no_proxy.")


def _trust(pem: bytes, known: Mapping[str, str], hint: str) -> Finding:
    lacking = [name for name in TRUST if not _has(known.get(name), pem)]
    if not lacking:
        return Finding("trust", f"The mirror's authority is trusted, by {', '.join(TRUST)}.")
    return Finding("trust", f"The mirror's current authority is in none of these files: {', '.join(lacking)}.", hint)


def _has(file: str | None, pem: bytes) -> bool:
    """Whether a bundle has that certificate."""
    try:
        content = Path(file).read_bytes() if file else b""
    except OSError:
        return False
    return b"".join(pem.split()) in b"".join(content.split())


def _download(address: str, hint: str) -> Finding:
    """The smallest stored archive at its own URL, through the environment's proxy; without one the head of one of the catalog."""
    try:
        url, sha256 = _tried_url(address)
    except (httpx.HTTPError, ValueError, LookupError) as error:
        return Finding("download", f"The mirror's list of archives cannot be read: {error}.", "Look at the mirror's log.")
    except StopIteration:
        return Finding("download", "The mirror has no archive to try.", "Fetch one: dataset-mirror fetch URL")
    return _whole(url, sha256, hint) if sha256 else _head(url, hint)


def _tried_url(address: str) -> tuple[str, str | None]:
    """The smallest stored archive and its digest, else one of the catalog. StopIteration if there is none."""
    stored = _ask(address, f"/status/archives?sort=size&limit={_SMALLEST}")["archives"]
    kept = next((one for one in stored if one["url"].startswith("https:")), None)
    if kept:
        return kept["url"], kept["sha256"]
    named = [archive["url"] for dataset in _ask(address, "/status/catalog")["datasets"] for archive in dataset["archives"]]
    return next(url for url in named if url.startswith("https:")), None


def _ask(address: str, path: str) -> Any:
    return httpx.get(address + path, trust_env=False, timeout=_PATIENCE).raise_for_status().json()


def _whole(url: str, sha256: str, hint: str) -> Finding:
    try:
        with urllib.request.urlopen(url, timeout=_PATIENCE) as answer:
            through, digest, count = _is_ours(answer), hashlib.sha256(), 0
            while chunk := answer.read(_CHUNK):
                digest.update(chunk)
                count += len(chunk)
    except (OSError, ValueError) as error:
        return _failed(url, error, hint)
    if not through:
        return Finding("download", f"{url} arrived, but not from the mirror.", hint)
    if digest.hexdigest() != sha256:
        return Finding("download", f"{url} arrived with other bytes than the mirror has.", "Run on the mirror: dataset-mirror verify")
    return Finding("download", f"{url} arrived through the mirror, {counted(count, 'byte')} with the right digest.")


def _head(url: str, hint: str) -> Finding:
    try:
        with urllib.request.urlopen(urllib.request.Request(url, method="HEAD"), timeout=_PATIENCE) as answer:
            through = _is_ours(answer)
    except (OSError, ValueError) as error:
        return _failed(url, error, hint)
    if not through:
        return Finding("download", f"The head of {url} arrived, but not from the mirror.", hint)
    return Finding("download", f"Nothing is stored yet; the head of {url} arrived through the mirror.")


def _is_ours(answer: Any) -> bool:
    return "dataset-mirror" in (answer.headers["cache-status"] or "")


def _failed(url: str, error: Exception, hint: str) -> Finding:
    reason = getattr(error, "reason", error)
    fact = f"{url} does not arrive: {error if isinstance(error, urllib.error.HTTPError) else reason}."
    if isinstance(reason, ssl.SSLCertVerificationError):
        return Finding("download", fact, hint)
    return Finding("download", fact, f"Run on the mirror: dataset-mirror explain {shlex.quote(url)}")
