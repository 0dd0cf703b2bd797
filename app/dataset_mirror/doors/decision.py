"""Where CONNECT leads: decided from its target and the client's address alone, before any name is resolved."""

import logging
import re
import time
from dataclasses import dataclass
from urllib.parse import urlsplit

from dataset_mirror.doors.ca import CertificateAuthority
from dataset_mirror.errors import BadRequest, MirrorError, NoTunnel, Offline, TunnelsFull
from dataset_mirror.fetch.flights import Failure
from dataset_mirror.mirror import Mirror
from dataset_mirror.origins.identity import ArchiveId, normalise_authority
from dataset_mirror.origins.networks import Address
from dataset_mirror.rules.anonymous import anonymised
from dataset_mirror.rules.authority import normal_host
from dataset_mirror.rules.counted import are, counted
from dataset_mirror.rules.host import split_port
from dataset_mirror.serve.client import parsed
from dataset_mirror.store.wanted import WHOLE_HOST

log = logging.getLogger(__name__)

_TARGET = re.compile(r"(.+):(\d{1,5})", re.ASCII)
_NUMBER = re.compile(r"\d+|0x[0-9a-f]*", re.ASCII)
HANDSHAKE_SECONDS = 10.0
_MOST_SAID = 1000


@dataclass(frozen=True, slots=True)
class Intercept:
    """The mirror itself answers as this origin."""

    authority: str

    @property
    def host(self) -> str:
        return split_port(self.authority)[0]


@dataclass(frozen=True, slots=True)
class TunnelTo:
    """Bytes go to and fro between the client and port 443 of this host, which nobody looks into."""

    host: str
    otherwise: Intercept | None = None
    """What is done if the host cannot be reached so: it is an origin, and the client does not say whether it trusts us for it."""


class Doors:
    """What the settings and origins of the moment say about CONNECT."""

    def __init__(self, mirror: Mirror, ca: CertificateAuthority, own_port: int) -> None:
        self.mirror, self.ca = mirror, ca
        self.own_ports = {own_port}
        """Ports at which the mirror itself listens."""
        self._outdated: set[tuple[str | None, str]] = set()
        """Addresses of clients, and hosts of origins, that met in a tunnel because the client was set up before."""

    @property
    def handshake_seconds(self) -> float:
        """How long a client may take for TLS."""
        settings = self.mirror.settings
        return min(HANDSHAKE_SECONDS, settings.idle_timeout, settings.head_timeout)

    def decide(self, target: str, peer: str | None, mark: str | None = None) -> Intercept | TunnelTo:
        """Where a CONNECT with this target (`host:port`) leads. BadRequest, NoTunnel, Offline or TunnelsFull.

        `mark` tells which certificate of the mirror the client trusts (rules.marks): an origin that it does not name stays
        tunnelled, as it was before it became an origin.
        """
        host, port, authority = _named(target)
        if self.mirror.origins.get(authority):
            if _is_address(host):
                raise NoTunnel(f"{host} is an address; the mirror's certificates are for names.", "Ask for it over plain http.")
            if self._is_covered(host, peer, mark):
                return Intercept(authority)
            return self._uncovered(Intercept(authority), port, peer, mark)
        self._check(host, port, peer)
        return TunnelTo(host)

    def interception(self, target: str, peer: str | None, mark: str | None = None) -> Intercept | None:
        """What `decide` says, if that is certain to be that the mirror itself answers; None leaves it open."""
        try:
            host, _, authority = _named(target)
        except MirrorError:
            return None
        is_ours = self.mirror.origins.get(authority) is not None and not _is_address(host)
        return Intercept(authority) if is_ours and self._is_covered(host, peer, mark) else None

    def _is_covered(self, host: str, peer: str | None, mark: str | None) -> bool:
        return host in self.ca.covered(mark, str(parsed(peer or "127.0.0.1")))

    def _uncovered(self, wanted: Intercept, port: int, peer: str | None, mark: str | None) -> Intercept | TunnelTo:
        """Where a client gets to that is not known to trust us for an origin's host.

        One whose mark is known would refuse our certificate. Others might take it: they get it where no tunnel leads.
        """
        is_certain = self.ca.knows(mark)
        self._say_outdated(wanted.host, peer)
        try:
            self._check(wanted.host, port, peer)
        except MirrorError as error:
            if not is_certain:
                return wanted
            error.hint = f"This shell was set up before {wanted.host} was added: run setup.sh again."
            raise
        return TunnelTo(wanted.host, None if is_certain else wanted)

    async def turned_away(self, host: str, peer: str | None, error: Offline) -> None:
        """A tunnel was refused because the mirror is offline: the host is wanted, and /status says so."""
        self.mirror.traffic.passages.refused += 1
        listed = await self.mirror.unlisted.note(ArchiveId(host, WHOLE_HOST), str(parsed(peer or "127.0.0.1")))
        if listed and all(failure.url != f"https://{host}/" for failure in self.mirror.flights.failures):
            said = Offline(f"{error.detail} It is on the wanted list now.", error.hint)
            self.mirror.flights.failures.append(Failure(time.time(), f"https://{host}/", said))
            client = anonymised(peer or "", self.mirror.settings.anonymise_clients)
            log.warning("%s %s was refused.", said.detail, client or "A client", extra={"client": client})

    def _say_outdated(self, host: str, peer: str | None) -> None:
        """In the log, once for each client and host."""
        if (peer, host) in self._outdated or len(self._outdated) >= _MOST_SAID:
            return
        self._outdated.add((peer, host))
        client = anonymised(peer or "", self.mirror.settings.anonymise_clients) or "A client"
        log.info("%s was set up before %s was added and reaches it through a tunnel. Run setup.sh again there.", client, host)

    def _check(self, host: str, port: int, peer: str | None) -> None:
        settings = self.mirror.settings
        if not is_private(peer):
            raise NoTunnel("Tunnels are for clients on private networks.", "Reach the host without the mirror as a proxy.")
        if _is_address(host):
            raise NoTunnel(f"{host} is an address; tunnels go to names.", "Ask for the host by its name.")
        if port != 443:
            raise NoTunnel(f"Tunnels go to port 443 only, not to {port}.", "Add the host to NO_PROXY to reach it directly.")
        if settings.public_url and urlsplit(settings.public_url).hostname == host:
            raise NoTunnel(f"{host} is this mirror itself.", "Add it to NO_PROXY.")
        if settings.offline:
            raise Offline(f"The mirror is offline: no tunnel goes to {host}.", "Try again when it is online.", host=host)
        if settings.tunnel != "public" and not any(_is_named(host, name) for name in settings.tunnel):
            raise NoTunnel(f"The setting `tunnel` does not name {host}.", f'To allow it, write tunnel = ["{host}"] into mirror.toml.')
        if self.mirror.traffic.passages.tunnels >= settings.max_tunnels:
            raise TunnelsFull(
                f"{counted(settings.max_tunnels, 'tunnel')} {are(settings.max_tunnels)} open, which is the limit.",
                "Try again, or raise `max_tunnels`.",
                headers={"Retry-After": "5"},
            )


def _named(target: str) -> tuple[str, int, str]:
    """Host and port of a CONNECT's target, and the authority that they are. BadRequest if it is none."""
    match = _TARGET.fullmatch(target)
    if match is None:
        raise BadRequest("The target of CONNECT is not host:port (RFC 9110 9.3.6).", "Ask for HOST:443.")
    host, port = normal_host(match[1]), int(match[2])
    return host, port, normalise_authority(f"{host}:{port}", "https")


def is_private(peer: str | None) -> bool:
    """Whether a client is on this machine or on a private network, so that the mirror may lead it elsewhere."""
    if peer is None:
        return True
    address: Address | None = parsed(peer)
    return address is not None and (address.is_private or address.is_link_local)


def refused_as_private(host: str, address: str) -> MirrorError:
    """A name that leads somewhere else than to the public internet."""
    return NoTunnel(f"{host} resolves to {address}, which is not an address of the public internet.", "Add the host to NO_PROXY.")


def _is_address(host: str) -> bool:
    """Also in the forms that resolvers take for IPv4 addresses, such as `127.1` and `0x7f000001`."""
    return host.startswith("[") or _NUMBER.fullmatch(host.rpartition(".")[2]) is not None


def _is_named(host: str, name: str) -> bool:
    return host.endswith(name[1:]) if name.startswith("*.") else host == name
