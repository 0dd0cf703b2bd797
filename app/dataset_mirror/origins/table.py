"""The origins and the catalog of one configuration, ready for look-ups. Immutable: a reload makes a new one."""

from collections.abc import Iterable, Iterator
from functools import cached_property

from dataset_mirror.errors import NotAllowed, UsageError
from dataset_mirror.origins.identity import ArchiveId, parse_url
from dataset_mirror.origins.meaning import Meaning
from dataset_mirror.origins.model import CatalogEntry, Origin, Preset


class Origins:
    """Which archives may be mirrored, and what is known of them beforehand."""

    def __init__(self, presets: Iterable[Preset], origins: Iterable[Origin] = (), archives: Iterable[CatalogEntry] = ()) -> None:
        """Later blocks extend earlier ones for the same host; later catalog entries override earlier ones for the same URL."""
        self._by_authority: dict[str, Origin] = {}
        self._catalog: dict[ArchiveId, CatalogEntry] = {}
        for preset in presets:
            self._add(preset.origins, preset.archives)
        self._add(origins, archives)

    def _add(self, origins: Iterable[Origin], archives: Iterable[CatalogEntry]) -> None:
        for origin in origins:
            known = self._by_authority.get(origin.authority)
            self._by_authority[origin.authority] = known.extended_by(origin) if known else origin
        for entry in archives:
            known_entry = self._catalog.get(entry.archive)
            self._catalog[entry.archive] = _overridden(known_entry, entry) if known_entry else entry

    def __iter__(self) -> Iterator[Origin]:
        return iter(self._by_authority.values())

    def get(self, authority: str) -> Origin | None:
        return self._by_authority.get(authority)

    def of(self, archive: ArchiveId) -> Origin:
        """The origin that lists `archive`; NotAllowed, with what would allow it, if none does."""
        origin = self._by_authority.get(archive.authority)
        if origin is None or not origin.lists(archive.path):
            raise not_listed(archive, origin)
        return origin

    def listing(self, path: str) -> list[Origin]:
        """Every origin that lists the normalised `path`."""
        return [origin for origin in self if origin.lists(path)]

    def expected(self, archive: ArchiveId) -> CatalogEntry | None:
        """What is known of `archive` beforehand: what the catalog has, else what a rule finds in its URL."""
        return self._catalog.get(archive) or self._told_by_url(archive)

    def _told_by_url(self, archive: ArchiveId) -> CatalogEntry | None:
        origin = self.get(archive.authority)
        matched = origin.rule(archive.path) if origin else None
        if origin is None or matched is None or (sha256 := matched.digest_in(archive.path)) is None:
            return None
        return CatalogEntry(url=origin.url_of(archive), sha256=(sha256,))

    def named(self, name: str) -> list[CatalogEntry]:
        """The catalog's entries of that name, which make one dataset."""
        return self._by_name.get(name, [])

    @cached_property
    def _by_name(self) -> dict[str, list[CatalogEntry]]:
        found: dict[str, list[CatalogEntry]] = {}
        for entry in self.catalog:
            found.setdefault(entry.name, []).append(entry)
        return found

    @property
    def catalog(self) -> Iterable[CatalogEntry]:
        return self._catalog.values()

    def select(self, wanted: str) -> list[ArchiveId]:
        """The archives meant by a URL, a catalog name (`keras/mnist`) or a glob of names (`keras/*`). UsageError if none."""
        if "://" in wanted:
            archive = parse_url(wanted)
            self.of(archive)
            return [archive]
        found = self.meant(wanted)
        if not found:
            raise UsageError(
                f"The catalog has no archive named {wanted!r}.", closest(wanted, {entry.name for entry in self.catalog if entry.name})
            )
        return found

    def meant(self, name: str) -> list[ArchiveId]:
        """The archives of the catalog that have this name, or one that fits this glob; none if there are none."""
        meaning = Meaning(name)
        return [entry.archive for entry in self.catalog if meaning.names(entry.name)]

    def idle_rules(self) -> list[tuple[Origin, str]]:
        """What rules match in vain, since no entry of their origin's `paths` allows such a path."""
        patterns = [(origin, pattern) for origin in self for rule in origin.rules for pattern in rule.patterns]
        return [(origin, pattern.text) for origin, pattern in patterns if not any(map(pattern.may_match, origin.paths))]

    def ambiguities(self) -> list[str]:
        """Listed paths that more than one origin lists; these have no bare form."""
        paths = {path: self.listing(path) for origin in self for path in origin.paths}
        return sorted(path for path, origins in paths.items() if len(origins) > 1)


def closest(wanted: str, names: Iterable[str]) -> str:
    """What to do about a name that the catalog does not have."""
    from difflib import get_close_matches  # slow to import, needed only here

    known = sorted(names)
    near = get_close_matches(wanted, known, n=3, cutoff=0.5) or [name for name in known if wanted in name][:3]
    return f"Did you mean {', '.join(near)}?" if near else "Give a name such as keras/mnist, a glob such as 'keras/*', or a URL."


def path_to_list(archive: ArchiveId) -> str:
    """What to write into `paths` for an archive: its folder; the archive alone if that would be the whole host."""
    folder = archive.path.rsplit("/", 1)[0] + "/"
    return archive.path if folder == "/" else folder


def not_listed(archive: ArchiveId, origin: Origin | None) -> NotAllowed:
    """The refusal for an archive that no origin lists, with the command and the lines that allow it."""
    scheme = origin.scheme if origin else "https"
    url = f"{scheme}://{archive}"
    folder = path_to_list(archive)
    what = f"The origin {archive.authority} does not list {archive.path}." if origin else f"No origin is named {archive.authority}."
    hint = (
        f"To allow it, run: dataset-mirror add '{url}' — or write into mirror.toml: "
        f'[[origins]] url = "{scheme}://{archive.authority}" paths = ["{folder}"]'
    )
    lines = ["[[origins]]", f'url = "{scheme}://{archive.authority}"', f'paths = ["{folder}"]']
    return NotAllowed(what, hint, archive=url, command=f"dataset-mirror add '{url}'", configuration=lines)


def _overridden(known: CatalogEntry, entry: CatalogEntry) -> CatalogEntry:
    """`entry` over `known`: given digests replace *all* known ones, so that an operator can follow a republished archive."""
    changes = {name: getattr(entry, name) for name in entry.model_fields_set}
    if entry.has_digest:
        changes |= {"sha256": entry.sha256, "md5": entry.md5}
        changes.setdefault("size", None)
    return known.model_copy(update=changes)
