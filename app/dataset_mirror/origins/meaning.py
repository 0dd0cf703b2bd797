"""What people write for archives: a name of the catalog (`keras/mnist`), a URL, or a glob of either. Upper and lower case differ."""

from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from itertools import takewhile

from dataset_mirror.errors import UsageError
from dataset_mirror.origins.identity import ArchiveId, parse_url, without_scheme
from dataset_mirror.origins.names import prefix_of
from dataset_mirror.rules.secrets import blurred
from dataset_mirror.rules.sentences import quoted

_WILDCARDS = "*?["


@dataclass(frozen=True, slots=True)
class Meaning:
    """One such word."""

    word: str

    @property
    def is_glob(self) -> bool:
        """Whether it may mean several; `?` in a URL begins its query, too."""
        return not set(self.word).isdisjoint(_WILDCARDS)

    @property
    def is_file(self) -> bool:
        """Whether it may be the name of a file, such as `mnist.npz`, or a glob of such."""
        return set(self.word).isdisjoint("/:") and ("." in self.word or self.is_glob)

    @property
    def shown(self) -> str:
        """The same without secrets, if it is a URL with a query, or a glob of such."""
        before, mark, query = self.word.partition("?")
        return f"{before}?{blurred(query, without_scheme(before).partition('/')[0].lower())}" if mark and "/" in before else self.word

    @property
    def target(self) -> str:
        """HOST/PATH, or a glob of that, without a scheme; the host in small letters."""
        host, slash, path = without_scheme(self.word).partition("/")
        return f"{host.lower()}/{path}" if slash and "." in host else host + slash + path

    def names(self, name: str) -> bool:
        """Whether it means archives of that name in the catalog."""
        return bool(name) and (name == self.word or fnmatchcase(name, self.word))

    def names_in(self, names: Iterable[str]) -> list[str]:
        """Those that it means."""
        return [name for name in names if self.names(name)]

    def fits(self, archive: ArchiveId) -> bool:
        """Whether it is a glob of URLs that means the archive."""
        return fnmatchcase(str(archive), self.target)

    def fits_url(self, url: str) -> bool:
        """Whether it is the URL, or a glob that fits it, with or without its scheme."""
        return url == self.word or fnmatchcase(url, self.word) or fnmatchcase(url.partition("://")[2], self.target)

    def fits_file(self, url: str) -> bool:
        """Whether it is the name of that archive's file, or a glob of it."""
        return self.is_file and fnmatchcase(url.partition("?")[0].rpartition("/")[2], self.word)

    def as_url(self) -> ArchiveId | None:
        """The archive, if it looks like a URL; its scheme may be left out. BadRequest if it looks like one and is none."""
        host, slash, _ = self.target.partition("/")
        return parse_url(self.word) if slash and "." in host else None

    def check_one(self) -> None:
        """UsageError for a glob of URLs or repositories, where what is meant need not be stored."""
        host = self.target.partition("/")[0]
        if "*" in self.word and ("://" in self.word or ("." in host and "/" in self.word) or prefix_of(self.word)):
            raise UsageError(
                f"{self.word!r} is a glob of URLs or repositories: it selects of what is stored, since nobody else knows which there are.",
                f"Name each, or give a glob of the catalog's names ('keras/*'). What is stored: dataset-mirror ls {quoted(self.word)}",
            )

    @property
    def beginning(self) -> str:
        """What the HOST/PATH of all that fit begins with."""
        return "".join(takewhile(lambda character: character not in _WILDCARDS, self.target))
