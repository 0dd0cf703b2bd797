"""How a request finds its archive: a pure function over the request's target and Host, tried in a fixed order."""

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import unquote

from dataset_mirror.errors import BadRequest, NoSuchPage, NotAllowed
from dataset_mirror.origins.identity import MAX_TARGET, ArchiveId, check_query, normalise_authority, normalise_path
from dataset_mirror.origins.meaning import Meaning
from dataset_mirror.origins.model import Origin
from dataset_mirror.origins.names import prefix_of
from dataset_mirror.origins.table import Origins
from dataset_mirror.origins.typed import as_typed
from dataset_mirror.origins.unknown import not_listed
from dataset_mirror.rules.authority import normal_authority
from dataset_mirror.rules.host import split_port
from dataset_mirror.rules.sentences import quoted


@dataclass(frozen=True, slots=True)
class OwnPaths:
    """The paths at which the mirror's own pages are, as these hand them over."""

    exact: frozenset[str] = frozenset()
    folders: tuple[str, ...] = ()
    """What a path begins with if everything below is the mirror's; each ends with `/`."""
    yielding: frozenset[str] = frozenset()
    """Pages' first segments, with or without more below, that are the mirror's only where no origin has such a bare path."""

    def __contains__(self, path: str) -> bool:
        return path in self.exact or path.startswith(self.folders)

    def yields(self, path: str) -> bool:
        """Whether there is a page at the path, unless an origin has it."""
        return path[1:].partition("/")[0] in self.yielding


NO_PAGES = OwnPaths()


_LONGEST_NAME = 80
"""Characters of a path that may be a name of the catalog, as people type it: longer ones are not looked for."""
_PUNCTUATION = re.compile("%(?:3A|5B|5D)")
"""Colon and brackets, which clients encode when they put a host into a path."""


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
        return _listed(_asked_for(named, path, query), origins)
    if (whole := _whole_url(path, query)) is not None:
        return _listed(whole, origins)
    first, _, rest = path[1:].partition("/")
    if (authority := _origin_meant(_PUNCTUATION.sub(_decoded, first), origins, own_port)) is not None:
        return _listed(_asked_for(authority, normalise_path(f"/{rest}".encode()), query), origins)
    if path in own or (own.yields(path) and not bare_owners(path, origins)):
        return None
    return _bare(path, query, origins)


def _asked_for(authority: str, path: str, query: str) -> ArchiveId:
    """What a client asks for: of a secret it has to know more than the mirror tells."""
    return ArchiveId.of(authority, path, query, again=True)


def bare_owners(path: str, origins: Origins) -> list[Origin]:
    """The origins that a bare path may name. One that lists `/` would catch every path; those have no bare form."""
    return [origin for origin in origins.listing(path) if origin.lists(path, but="/")]


_WHOLE = re.compile(r"/(?P<scheme>https?)(?::|%3A)(?P<slashes>//?|%2F(?:%2F)?)(?P<rest>[^/].*)", re.IGNORECASE)
"""A whole URL in place of a path, as people paste it, or as clients that merge slashes or encode it send it."""


def _whole_url(path: str, query: str) -> ArchiveId | None:
    """The archive of a path that is a URL: `/https://HOST/PATH`, `/https:/HOST/PATH`, or either percent-encoded, query and all."""
    match = _WHOLE.fullmatch(path)
    if match is None:
        return None
    rest = match["rest"]
    if "%" in match["slashes"]:
        rest, _, inner = unquote(rest, errors="surrogateescape").partition("?")
        query = "&".join(filter(None, [inner, query]))  # what follows the URL was added to its query
    host, _, below = rest.partition("/")
    authority = normalise_authority(host, match["scheme"].lower())
    return _asked_for(authority, normalise_path(_raw(f"/{below}")), check_query(_raw(query)))


def _raw(text: str) -> bytes:
    return text.encode(errors="surrogateescape")


def folder_meant(target: Target, origins: Origins, own_port: int) -> str | None:
    """HOST/PATH/ of a request `/HOST/PATH/` or `/HOST`, which is for what is stored below; None for any other, and where rules say
    what is there.

    Raises BadRequest for a path that cannot be meant.
    """
    is_folder = target.path.endswith(b"/") or target.path.count(b"/") == 1
    if not is_folder or target.query or _named_authority(target, origins, own_port) is not None:
        return None
    first, _, rest = normalise_path(target.path)[1:].partition("/")
    authority = _origin_meant(_PUNCTUATION.sub(_decoded, first), origins, own_port)
    origin = origins.get(authority) if authority else None
    return None if origin is None or origin.rule(f"/{rest}") else f"{authority}/{rest}"


def _check(target: Target) -> None:
    if len(target.path) + len(target.query) > MAX_TARGET:
        raise BadRequest(f"The target is longer than {MAX_TARGET} bytes.", "Check the URL.")
    if len(target.hosts) > 1:
        raise BadRequest("The request has more than one Host field (RFC 9112 3.2).", "Send exactly one.")


def _named_authority(target: Target, origins: Origins, own_port: int) -> str | None:
    """The origin that an absolute form or Host names; None if they name the mirror."""
    if target.authority is not None:
        authority = normalise_authority(_as_text(target.authority), "http")
        known = _origin_meant(target.authority, origins, own_port)
        ourselves = authority.endswith(f":{own_port}")
        return known or (None if ourselves else authority)  # another server is refused as one that no origin names
    return _origin_meant(target.hosts[0], origins, own_port) if target.hosts else None


def _origin_meant(given: str, origins: Origins, own_port: int) -> str | None:
    """The authority of the origin that is written so, with its own port, a scheme's own, the mirror's own or none."""
    try:
        exact = normal_authority(_as_text(given))
    except BadRequest:
        return None
    name, port = split_port(exact)
    plain = name if port in (80, 443, own_port) else exact
    return next((authority for authority in (exact, plain) if origins.get(authority)), None)


def _as_text(host: str) -> str:
    """A host as its client meant it: bytes beyond ASCII in a head are UTF-8, if anything, and were read one by one."""
    try:
        return host.encode("latin-1").decode()
    except ValueError:
        return host


def _decoded(match: re.Match[str]) -> str:
    return unquote(match[0])


def _listed(archive: ArchiveId, origins: Origins) -> ArchiveId:
    origins.of(archive)
    return archive


def _bare(path: str, query: str, origins: Origins) -> ArchiveId:
    narrow = bare_owners(path, origins)
    if len(narrow) == 1:
        return _asked_for(narrow[0].authority, path, query)
    if narrow:
        raise _several(narrow, path, query)
    near = _named(path, origins)
    first, _, rest = path[1:].partition("/")
    if rest and "." in first:
        raise not_listed(_asked_for(first.lower(), "/" + rest, query), None, (origin.authority for origin in origins))
    meant = f"Did you mean {' or '.join(near)}? " if near else f"{origins.elsewhere(path[1:])} ".lstrip()
    if mirrored := [origin for origin in origins.listing(path) if origin.rule(path) is None]:
        raise _several(mirrored, path, query, meant, near)
    hint = f"{meant}If it is at https://HOST{path}, run: dataset-mirror add {shlex.quote(f'https://HOST{path}')}"
    raise NotAllowed(f"No origin lists {path}.", hint, choices=near)


def _named(path: str, origins: Origins) -> list[str]:
    """NoSuchPage for what people write for archives elsewhere, with the paths that it means; else the paths that are nearly such."""
    name = as_typed(unquote(path[1:]))
    if len(name) > _LONGEST_NAME:
        return []
    if "*" in name:
        raise NoSuchPage(f"{name} may mean several archives.", f"Name one of them. What is stored of it: dataset-mirror ls {quoted(name)}")
    if prefix_of(name) and (repository := origins.repository(name)) is not None:
        host, all_of_it = repository.names.authority, f"dataset-mirror fetch {shlex.quote(str(repository))}"
        raise NoSuchPage(f"{name} is a whole repository, not a path.", f"Its files are below /{host}/. To fetch them all, run: {all_of_it}")
    archive = Meaning(name).as_url()
    meant = [archive] if archive and "://" in name else origins.meant(name)
    if meant:
        paths = [f"/{archive}" for archive in dict.fromkeys(meant)]
        shown = " or ".join(paths[:3]) + (f" … ({len(paths):,} in all)" if len(paths) > 3 else "")
        what = "a URL" if "://" in name else "a name of the catalog"
        raise NoSuchPage(f"{name} is {what}, not a path.", f"Ask for: {shown}", choices=paths[:100])
    return [f"/{archive}"] if archive and "%2F" in path else [f"/{one}" for one in origins.near(name)]


def _several(origins: list[Origin], path: str, query: str, meant: str = "", near: Sequence[str] = ()) -> NoSuchPage:
    urls = [f"/{_asked_for(origin.authority, path, query)}" for origin in origins]
    return NoSuchPage(f"{path} does not name one origin.", f"{meant}Ask for: {' or '.join(urls)}", choices=[*near, *urls])
