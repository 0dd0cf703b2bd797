"""The tag files of a bundle that comes in: checked before anything is taken, then asked what each payload file is."""

import hashlib
import json
from collections.abc import Iterable, Iterator

from dataset_mirror.airgap.bundle import bag
from dataset_mirror.airgap.bundle.member import Member
from dataset_mirror.errors import BundleError

_NEEDED = (bag.DECLARATION, bag.MANIFEST, bag.LINES, bag.TAG_MANIFEST)
_TAGS = (*_NEEDED, bag.INFO)


_FACT = b'{"knows": '


class Listing:
    """Knows which digest belongs to which path, and which lines to which digest. Each is told once."""

    def __init__(self) -> None:
        self.begun = False
        """Whether the tag files were found good."""
        self.origins: list[str] = []
        """The origins' blocks that the bundle proposes, each a line."""
        self.facts: list[bytes] = []
        """Lines that are about no bytes."""
        self._tags: dict[str, bytes] = {}
        self._top: str | None = None
        self._digests: dict[str, str] = {}
        self._lines: dict[str, list[bytes]] = {}
        self._taken: set[str] = set()

    @property
    def paths(self) -> Iterable[str]:
        """The payload's paths that have not come yet."""
        self.begin()
        return self._digests

    def takes(self, member: Member) -> bool:
        """Whether a file belongs to the payload. Tag files are taken in, others passed over. BundleError if the bag is no bundle."""
        path = self._path(member.name)
        if path.startswith(bag.PAYLOAD):
            self.begin()
            return True
        if path in _TAGS and not self.begun:
            if path in self._tags:
                raise BundleError(f"{path} is there twice.", "This is not a bundle of dataset-mirror export.")
            self._tags[path] = member.content(bag.MOST_TAG_BYTES)
        return False

    def _path(self, name: str) -> str:
        """The path in the bag: without the top folder, which is that of the first file."""
        name = name.removeprefix("./")
        if self._top is None:
            first, slash, _ = name.partition("/")
            self._top = first + slash if slash and first + slash != bag.PAYLOAD else ""
        return name.removeprefix(self._top)

    def begin(self) -> None:
        """All tag files must be there and whole now; BundleError otherwise. Later calls do nothing.

        A flipped bit in the list could put right bytes under a wrong URL: then nothing of the bundle is taken.
        """
        if self.begun:
            return
        if lacking := [name for name in _NEEDED if name not in self._tags]:
            raise BundleError(
                f"{' and '.join(lacking)} must be there, before the archives.",
                "Is it a bundle of dataset-mirror export? If it was packed by another program, unpack it, and import the folder.",
            )
        try:
            known = bag.read_manifest(self._tags[bag.TAG_MANIFEST])
            self._check(known)
            self._digests = bag.read_manifest(self._tags[bag.MANIFEST])
        except ValueError as error:
            raise BundleError(f"A manifest of the bundle is damaged: {error}.", "Nothing was imported. Copy the bundle again.") from None
        for line in self._tags[bag.LINES].splitlines():
            if line.startswith(_FACT):
                self.facts.append(line)
                continue
            self._lines.setdefault(_digest(line), []).append(line)
        self.origins = bag.origins_in(self._tags.get(bag.INFO, b""))
        self._tags.clear()
        self.begun = True

    def _check(self, known: dict[str, str]) -> None:
        for name, content in self._tags.items():
            if name != bag.TAG_MANIFEST and hashlib.sha256(content).hexdigest() != known.get(name):
                raise BundleError(f"{name} of the bundle is damaged.", "Nothing was imported. Copy the bundle again.")

    def lines_of(self, member: Member) -> list[bytes]:
        """The lines of the archives that a payload file is; none if its bytes have come before. BundleError if it is none."""
        digest = self._digests.pop(self._path(member.name), None)
        if digest is None:
            raise BundleError(f"{member.name[:200]!r} is not in the manifest, or came before.", "It was skipped.")
        if digest not in self._lines and digest not in self._taken:
            raise BundleError(f"{bag.LINES} has no line for {member.name[:200]!r}.", "It was skipped.")
        self._taken.add(digest)
        return self._lines.pop(digest, [])

    def rest(self) -> Iterator[list[bytes]]:
        """The lines whose bytes did not come."""
        for digest in list(self._lines):
            yield self._lines.pop(digest)


def _digest(line: bytes) -> str:
    """The digest that a line names; nothing if it is no line."""
    try:
        return str(json.loads(line)["sha256"])
    except (ValueError, TypeError, KeyError, RecursionError):
        return ""
