"""The origins and the catalog of one configuration, ready for look-ups. Immutable: a reload makes a new one."""

from collections.abc import Iterable, Iterator
from functools import cached_property
from itertools import chain
from pathlib import Path
from urllib.parse import unquote

from dataset_mirror.errors import UsageError
from dataset_mirror.origins.catalog_file import CatalogFile
from dataset_mirror.origins.identity import ArchiveId, parse_url
from dataset_mirror.origins.meaning import Meaning
from dataset_mirror.origins.model import CatalogEntry, Origin, Preset
from dataset_mirror.origins.names import Names, Repository, prefix_of, repository
from dataset_mirror.origins.rules import COMMIT, Matched
from dataset_mirror.origins.unknown import among_stored, closest, elsewhere, how_to_switch_on, not_listed, preset_naming


class Origins:
    """Which archives may be mirrored, and what is known of them beforehand."""

    def __init__(self, presets: Iterable[Preset], origins: Iterable[Origin] = (), archives: Iterable[CatalogEntry] = ()) -> None:
        """Later blocks extend earlier ones for the same host; later catalog entries override earlier ones for the same URL."""
        self._by_authority: dict[str, Origin] = {}
        self._catalog: dict[ArchiveId, CatalogEntry] = {}
        self._files: list[CatalogFile] = []
        self._files_of: dict[str, list[CatalogFile]] = {}
        self._names: list[Names] = []
        for preset in presets:
            self._names += preset.names
            self._add(preset.origins, preset.archives)
            if preset.catalog is not None:
                self._add_file(preset.catalog, preset.origins)
        self._add(origins, [self._completed(entry) for entry in archives])

    def _add(self, origins: Iterable[Origin], archives: Iterable[CatalogEntry]) -> None:
        for origin in origins:
            known = self._by_authority.get(origin.authority)
            self._by_authority[origin.authority] = known.extended_by(origin) if known else origin
        for entry in archives:
            known_entry = self._catalog.get(entry.archive)
            self._catalog[entry.archive] = _overridden(known_entry, entry) if known_entry else entry

    def _add_file(self, path: Path, origins: Iterable[Origin]) -> None:
        schemes = {origin.authority: origin.scheme for origin in origins}
        file = CatalogFile(path, schemes)
        self._files.append(file)
        for authority in schemes:
            self._files_of.setdefault(authority, []).append(file)

    def _completed(self, entry: CatalogEntry) -> CatalogEntry:
        """An operator's entry, with what a preset's file knows besides."""
        known = self._in_files(entry.archive)
        return _overridden(known, entry) if known else entry

    def _in_files(self, archive: ArchiveId) -> CatalogEntry | None:
        found = (file.find(archive) for file in self._files_of.get(archive.authority, ()))
        return next((entry for entry in found if entry), None)

    def __iter__(self) -> Iterator[Origin]:
        return iter(self._by_authority.values())

    def get(self, authority: str) -> Origin | None:
        return self._by_authority.get(authority)

    def of(self, archive: ArchiveId) -> Origin:
        """The origin that lists `archive`; NotAllowed, with what would allow it, if none does."""
        origin = self._by_authority.get(archive.authority)
        if origin is None or not origin.lists(archive.path):
            raise not_listed(archive, origin, () if origin else self._by_authority)
        return origin

    def matched(self, archive: ArchiveId) -> Matched | None:
        """The rule that its origin has for an archive's path; None if there is no such rule, or no such origin."""
        origin = self._by_authority.get(archive.authority)
        return origin.rule(archive.path) if origin else None

    def listing(self, path: str) -> list[Origin]:
        """Every origin that lists the normalised `path`."""
        return [origin for origin in self if origin.lists(path)]

    def expected(self, archive: ArchiveId) -> CatalogEntry | None:
        """What is known of `archive` beforehand: what the catalog has, else what a rule finds in its URL."""
        return self._catalog.get(archive) or self._in_files(archive) or self._told_by_url(archive)

    def _told_by_url(self, archive: ArchiveId) -> CatalogEntry | None:
        origin = self.get(archive.authority)
        matched = origin.rule(archive.path) if origin else None
        if origin is None or matched is None or (sha256 := matched.digest_in(archive.path)) is None:
            return None
        return CatalogEntry(url=origin.url_of(archive), sha256=(sha256,))

    def has_digest_in_url(self, archive: ArchiveId) -> bool:
        """Whether a rule finds a digest, or the beginning of one, in the archive's URL."""
        matched = self.matched(archive)
        return matched is not None and matched.tells_digest(archive.path)

    def named(self, name: str) -> list[CatalogEntry]:
        """The catalog's entries of that name, which make one dataset."""
        files = (file for file in self._files if name.startswith(file.prefix))
        return [*self._by_name.get(name, []), *(entry for file in files for entry in file.named(name))]

    @property
    def names(self) -> Iterable[str]:
        """All names of the catalog, each once."""
        return dict.fromkeys([*(name for name in self._by_name if name), *(name for file in self._files for name in file.names)])

    @cached_property
    def catalog_names(self) -> dict[str, str]:
        """The name of each archive of the catalog that has one, by HOST/PATH. Reads the files of large presets as a whole, once."""
        return {str(entry.archive): entry.name for entry in self.catalog if entry.name}

    def known_as(self, text: str) -> tuple[str, ...]:
        """HOST/PATH of the archives with a text in their name, whatever its case."""
        part = text.casefold()
        return tuple(key for key, name in self.catalog_names.items() if part in name.casefold())

    @cached_property
    def _by_name(self) -> dict[str, list[CatalogEntry]]:
        found: dict[str, list[CatalogEntry]] = {}
        for entry in self._catalog.values():
            found.setdefault(entry.name, []).append(entry)
        return found

    @property
    def catalog(self) -> Iterable[CatalogEntry]:
        """All that is known beforehand. Reads the files of large presets as a whole."""
        return chain(self._catalog.values(), *self._files)

    def select(self, wanted: str) -> list[ArchiveId]:
        """The archives meant by a URL, a name of the catalog or a file's (`keras/mnist`, `mnist.npz`), or a glob of names (`keras/*`).

        UsageError if none.
        """
        found = [] if "://" in wanted else self.meant(wanted)
        archive = parse_url(wanted) if "://" in wanted else None if found else Meaning(wanted).as_url()
        if archive is not None:
            self.of(archive)
            return [archive]
        if not found:
            error = self.unknown(wanted)
            raise UsageError(error.detail, error.hint + among_stored(wanted))
        return found

    def unknown(self, name: str) -> UsageError:
        """What to say of a name that the catalog does not have."""
        return UsageError(f"The catalog has no archive named {name!r}.", closest(name, self.names, self._names))

    def meant(self, name: str) -> list[ArchiveId]:
        """The archives of the catalog that have this name or fit this glob; else those with this file name; none if there are none."""
        meaning = Meaning(name)
        if not meaning.is_glob:
            found = self.named(name) if name else []
        else:
            found = [entry for entry in self._catalog.values() if meaning.names(entry.name)]
            found += [entry for file in self._files for known in meaning.names_in(file.names) for entry in file.named(known)]
        if not found and meaning.is_file:
            found = [entry for entry in self._catalog.values() if meaning.fits_file(entry.url)]
            for file in self._files:
                found += [entry for entry in file if meaning.fits_file(entry.url)] if meaning.is_glob else file.with_file(name)
        return [entry.archive for entry in found]

    def elsewhere(self, name: str) -> str:
        """What to do about a name that may be one of a preset which is not on, or of a repository without its prefix; else empty."""
        return elsewhere(name, self.names, self._names)

    def near(self, name: str) -> list[str]:
        """Names of the catalog that are nearly that one."""
        from difflib import get_close_matches

        first = get_close_matches(name.partition("/")[0], {one.partition("/")[0] for one in self.names}, n=1, cutoff=0.7)
        return get_close_matches(name, [one for one in self.names if one.startswith(f"{first[0]}/")], n=3, cutoff=0.7) if first else []

    def name_of(self, archive: ArchiveId) -> str:
        """Its name in the catalog, else that of the repository that it belongs to (`hf:org/name`); empty if it has none."""
        entry = self.expected(archive)
        return entry.name if entry and entry.name else self._repository_of(archive)

    def _repository_of(self, archive: ArchiveId) -> str:
        tables = self._names_of.get(archive.authority)
        matched = self._by_authority[archive.authority].rule(archive.path) if tables and archive.authority in self._by_authority else None
        scope = matched.scope if matched else None
        found = next((table for table in tables or () if scope and table.means(scope)), None)
        return f"{found.prefix}:{scope}" if found else ""

    def whole_of(self, archive: ArchiveId) -> str:
        """`hf:org/name@revision`, if the archive is what tells of that: its revision, or the list of its files; else empty."""
        name, origin = self._repository_of(archive), self.get(archive.authority)
        matched = origin.rule(archive.path) if name and origin else None
        revision = (matched.names.get(COMMIT) or matched.ref) if matched else None
        if matched is None or revision is None:
            return ""
        found = repository(f"{name}@{unquote(revision)}", self._names)
        at = matched.at_commit(archive.path, revision) if matched.rule.ref else archive.path
        return str(found) if found and at in (found.question.path, found.listing(revision).path) else ""

    @cached_property
    def _names_of(self) -> dict[str, list[Names]]:
        found: dict[str, list[Names]] = {}
        for table in self._names:
            found.setdefault(table.authority, []).append(table)
        return found

    def repository(self, word: str) -> Repository | None:
        """The repository that `hf:org/name@revision` names; None for any other word. UsageError if it can name none."""
        prefix = prefix_of(word)
        if prefix and not self.hosts_of(prefix) and (preset := preset_naming(prefix)):
            raise UsageError(f"{word!r} is a name of the preset {preset}, which is not on.", how_to_switch_on(preset))
        return repository(word, self._names)

    def file_meant(self, archive: ArchiveId) -> tuple[Repository, str] | None:
        """The repository at a commit in which the archive is a file, and its path there; None if it is none."""
        for table in self._names_of.get(archive.authority, ()):
            if not archive.query and (found := table.path_in(archive.path)) is not None:
                return Repository(table, found[0], found[1]), found[2]
        return None

    def hosts_of(self, prefix: str) -> list[str]:
        """The authorities of the origins whose repositories have names that begin so."""
        return list(dict.fromkeys(table.authority for table in self._names if table.prefix == prefix))

    def dataset_of(self, archive: ArchiveId) -> str:
        """The dataset that it belongs to, for sums: its name in the catalog, else one for all of its host that have none."""
        return dataset_name(self.name_of(archive), archive.authority)

    def idle_rules(self) -> list[tuple[Origin, str]]:
        """What rules match in vain, since no entry of their origin's `paths` allows such a path."""
        patterns = [(origin, pattern) for origin in self for rule in origin.rules for pattern in rule.patterns]
        return [(origin, pattern.text) for origin, pattern in patterns if not any(map(pattern.may_match, origin.paths))]

    def ambiguities(self) -> list[str]:
        """Listed paths that more than one origin lists; these have no bare form."""
        listed: dict[str, set[str]] = {}
        for origin in self:
            for path in origin.paths:
                if path != "/":
                    listed.setdefault(path, set()).add(origin.authority)
        return sorted(path for path in listed if len(set().union(*(listed.get(one, ()) for one in _path_and_folders(path)))) > 1)


def _path_and_folders(path: str) -> list[str]:
    """The path, and the folders that it is in, but for the root."""
    return [path, *(path[: at + 1] for at, character in enumerate(path) if character == "/" and 0 < at < len(path) - 1)]


def dataset_name(name: str, host: str) -> str:
    """A dataset for sums: its name in the catalog, else one for all of the host that have none."""
    return name or f"(no name) {host}"


def _overridden(known: CatalogEntry, entry: CatalogEntry) -> CatalogEntry:
    """`entry` over `known`: given digests replace *all* known ones, so that an operator can follow a republished archive."""
    changes = {name: getattr(entry, name) for name in entry.model_fields_set}
    if entry.has_digest:
        changes |= {"sha256": entry.sha256, "md5": entry.md5}
        changes.setdefault("size", None)
    return known.model_copy(update=changes)
