"""How a request finds its archive: a pure function over the request's target and Host, tried in a fixed order."""

from dataclasses import dataclass

from dataset_mirror.errors import BadRequest, NoSuchPage, NotAllowed
from dataset_mirror.origins.identity import MAX_TARGET, ArchiveId, check_query, normalise_authority, normalise_path
from dataset_mirror.origins.table import Origins, not_listed


@dataclass(frozen=True, slots=True)
class OwnPaths:
    """The paths at which the mirror's own pages are, as these hand them over."""

    exact: frozenset[str] = frozenset()
    folders: tuple[str, ...] = ()
    """What a path begins with if everything below is the mirror's; each ends with `/`."""

    def __contains__(self, path: str) -> bool:
        return path in self.exact or path.startswith(self.folders)


NO_PAGES = OwnPaths()


@dataclass(frozen=True, slots=True)
class Target:
    """What a request names: `authority` of an absolute-form target or None, the `hosts` fields, raw path and query."""

    path: bytes
    query: bytes = b""
    authority: str | None = None
    hosts: tuple[str, ...] = ()


def find_archive(target: Target, origins: Origins, own_port: int, own: OwnPaths = NO_PAGES) -> ArchiveId | None:
    """The archive that a request asks for, or None if it asks for a page of the mirror itself, at one of its `own` paths.

    Raises BadRequest (a target that cannot be meant), NotAllowed (no origin lists it), NoSuchPage (a bare path that several
    origins list). The order is: absolute form (RFC 9112 3.2.2), Host, first segment, own pages, bare path.
    """
    _check(target)
    path, query = normalise_path(target.path), check_query(target.query)
    named = _named_authority(target, origins, own_port)
    if named is not None:
        return _listed(ArchiveId(named, path, query), origins)
    first, _, rest = path[1:].partition("/")
    if origins.get(first.lower()):
        return _listed(ArchiveId(first.lower(), normalise_path(f"/{rest}".encode()), query), origins)
    if path in own:
        return None
    return _bare(path, query, origins)


def _check(target: Target) -> None:
    if len(target.path) + len(target.query) > MAX_TARGET:
        raise BadRequest(f"The target is longer than {MAX_TARGET} bytes.", "Check the URL.")
    if len(target.hosts) > 1:
        raise BadRequest("The request has more than one Host field (RFC 9112 3.2).", "Send exactly one.")


def _named_authority(target: Target, origins: Origins, own_port: int) -> str | None:
    """The origin that an absolute form or Host names; None if they name the mirror."""
    if target.authority is not None:
        authority = normalise_authority(target.authority, "http")
        known = next((name for name in (authority, _without_port(authority, own_port)) if origins.get(name)), None)
        ourselves = authority.endswith(f":{own_port}")
        return known or (None if ourselves else authority)  # another server is refused as one that no origin names
    if not target.hosts:
        return None
    host = target.hosts[0].lower()
    return next((name for name in (host, _without_port(host, own_port)) if origins.get(name)), None)


def _without_port(host: str, own_port: int) -> str:
    name, colon, port = host.rpartition(":")
    return name if colon and port in ("80", "443", str(own_port)) else host


def _listed(archive: ArchiveId, origins: Origins) -> ArchiveId:
    origins.of(archive)
    return archive


def _bare(path: str, query: str, origins: Origins) -> ArchiveId:
    listing = origins.listing(path)
    # An origin that lists `/` would catch every path; those have no bare form.
    narrow = [origin for origin in listing if origin.lists(path, but="/")]
    if len(narrow) == 1:
        return ArchiveId(narrow[0].authority, path, query)
    if listing:
        urls = [f"/{ArchiveId(origin.authority, path, query)}" for origin in narrow or listing]
        raise NoSuchPage(f"{path} does not name one origin.", f"Ask for: {' or '.join(urls)}", choices=urls)
    first, _, rest = path[1:].partition("/")
    if rest and "." in first:
        raise not_listed(ArchiveId(first.lower(), "/" + rest, query), None)
    raise NotAllowed(f"No origin lists {path}.", f"If it lies at https://HOST{path}, run: dataset-mirror add https://HOST{path}")
