"""A client's bundle: the authorities that it trusts, and the mirror's. What `/setup.sh` does in a shell, for Python."""

import os
from collections.abc import Iterator, Mapping
from hashlib import sha256
from pathlib import Path

import certifi

from dataset_mirror.errors import DataFolderError
from dataset_mirror.rules import environment as names
from dataset_mirror.store import durable


def make_bundle(address: str, authority: bytes, known: Mapping[str, str]) -> Path:
    """The private folder with the bundle and the configurations for the mirror at `address`, whose `authority` is in PEM.

    `known` is the client's environment. DataFolderError if the user's cache folder cannot be written.
    """
    ours = cache_folder(known)
    own = b"".join(_own(ours, known))
    wgetrc = _own_wgetrc(ours, known)
    place = ours / names.label(address) / sha256(own + wgetrc).hexdigest()[:16]
    bundle = place / names.BUNDLE
    try:
        ours.mkdir(mode=0o700, parents=True, exist_ok=True)
        ours.chmod(0o700)
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
        durable.replace(place / names.OWN, own, durable.SECRET)
        durable.replace(place / names.OWN_WGETRC, wgetrc, durable.SECRET)
        durable.replace(bundle, own + authority, durable.SECRET)
        durable.replace(place / names.WGETRC, wgetrc + b"ca_certificate = " + os.fsencode(bundle) + b"\n", durable.SECRET)
        durable.replace(place / names.ARIA2, _own_aria2(known) + b"ca-certificate=" + os.fsencode(bundle) + b"\n", durable.SECRET)
    except OSError as error:
        raise DataFolderError(
            f"The bundle of certificate authorities cannot be kept in {place}: {error.strerror}.",
            "Set XDG_CACHE_HOME to a folder that you may write.",
        ) from None
    return place


def cache_folder(known: Mapping[str, str]) -> Path:
    """Where bundles are; below XDG_CACHE_HOME, which counts only if it is absolute, else the home folder. DataFolderError without one."""
    named = known.get("XDG_CACHE_HOME", "")
    return (Path(named) if named.startswith("/") else _home(known) / ".cache") / names.FOLDER


def _home(known: Mapping[str, str]) -> Path:
    try:
        return Path(known.get("HOME") or "~").expanduser()
    except RuntimeError:
        raise DataFolderError("This user has no home folder for the bundle of certificate authorities.", "Set XDG_CACHE_HOME.") from None


def _own(ours: Path, known: Mapping[str, str]) -> Iterator[bytes]:
    """What the client trusts without us: its one file, else the system's, else certifi's; and what single clients trust besides."""
    named = known.get(names.TRUST[0], "")
    seen = set()
    places = [_made_from(ours, place, names.OWN) for place in (named, *names.AUTHORITIES, certifi.where()) if place]
    main = next((place for place in places if _lines(place)), None)
    others = [_made_from(ours, known[name], names.OWN) for name in names.TRUST[1:] if known.get(name)]
    for place in ([main] if main else []) + others:
        if place not in seen:
            seen.add(place)
            yield _lines(place)


def _own_wgetrc(ours: Path, known: Mapping[str, str]) -> bytes:
    named = known.get(names.WGET) or str(Path(known.get("HOME", "/")) / ".wgetrc")
    return _lines(_made_from(ours, named, names.OWN_WGETRC))


def _own_aria2(known: Mapping[str, str]) -> bytes:
    home = Path(known.get("HOME", "/"))
    return next((lines for place in names.ARIA2_HOMES if (lines := _lines(home / place))), b"")


def _made_from(ours: Path, place: str, origin: str) -> Path:
    """The file itself; of one that was made here, what it was made from."""
    return Path(place).with_name(origin) if Path(place).is_relative_to(ours) else Path(place)


def _lines(file: Path) -> bytes:
    """A file with a newline at its end; nothing if it cannot be read."""
    try:
        content = file.read_bytes()
    except OSError:
        return b""
    return content if content.endswith(b"\n") or not content else content + b"\n"
