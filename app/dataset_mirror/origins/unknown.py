"""What is said of names and URLs that mean nothing here: what was probably meant, and what would allow it."""

import json
import shlex
from collections.abc import Iterable
from pathlib import Path

from dataset_mirror.errors import NotAllowed
from dataset_mirror.origins.identity import ArchiveId
from dataset_mirror.origins.meaning import Meaning
from dataset_mirror.origins.model import Origin
from dataset_mirror.origins.names import Names
from dataset_mirror.origins.presets import preset_text, shipped
from dataset_mirror.rules.sentences import quoted


def closest(wanted: str, names: Iterable[str], hubs: Iterable[Names] = ()) -> str:
    """What to do about a name that the catalog does not have; `hubs` say what names of repositories look like."""
    from difflib import get_close_matches  # slow to import, needed only here

    known = sorted(names)
    other = elsewhere(wanted, known, hubs)
    near = get_close_matches(wanted, known, n=3, cutoff=0.5) or [name for name in known if wanted and wanted in name][:3]
    if other and not get_close_matches(wanted, near, n=1, cutoff=0.8):
        return other
    return f"Did you mean {', '.join(near)}?" if near else "Give a name such as keras/mnist, a glob such as 'keras/*', or a URL."


def among_stored(word: str) -> str:
    """What else to do about a word that may be the name of a file which no catalog has; else empty."""
    return f" Of files that are stored: dataset-mirror ls {shlex.quote(word)}" if Meaning(word).is_file else ""


def elsewhere(name: str, known: Iterable[str], hubs: Iterable[Names]) -> str:
    """What to do about a name that may be one of a preset which is not on, or of a repository without its prefix; else empty."""
    preset, slash, _ = name.partition("/")
    if slash and preset in shipped() and not any(one.startswith(f"{preset}/") for one in known):
        return f"The preset {preset} may have it, and is not on. {how_to_switch_on(preset)}"
    fitting = next((hub for hub in hubs if name.count("/") == 1 and hub.means(name) and not Meaning(name).is_glob), None)
    return f"If it is a repository of {fitting.authority}, its name is {fitting.prefix}:{name}." if fitting else ""


def how_to_switch_on(preset: str) -> str:
    return f"How to switch it on: dataset-mirror presets {preset}"


def preset_naming(prefix: str) -> str | None:
    """The preset that ships with the mirror and has names of repositories that begin so."""
    return next((preset for preset in shipped() if f'name = ["{prefix}:' in preset_text(preset, Path())), None)


def path_to_list(archive: ArchiveId) -> str:
    """What to write into `paths` for an archive: its folder; the archive alone if that would be the whole host."""
    folder = archive.path.rsplit("/", 1)[0] + "/"
    return archive.path if folder == "/" else folder


def _meant_host(authority: str, hosts: Iterable[str]) -> str:
    """What to say of a host that is almost one of these; nothing if it is none."""
    from difflib import get_close_matches  # slow to import, needed only here

    near = get_close_matches(authority, sorted(hosts), n=1, cutoff=0.9)
    return f"Did you mean {near[0]}? " if near else ""


def not_listed(archive: ArchiveId, origin: Origin | None, hosts: Iterable[str] = ()) -> NotAllowed:
    """The refusal for an archive that no origin lists, with the command and the lines that allow it; `hosts` may be what was meant."""
    scheme = origin.scheme if origin else "https"
    url = f"{scheme}://{archive}"
    command = f"dataset-mirror add {quoted(url)}"
    lines = ["[[origins]]", f'url = "{scheme}://{archive.authority}"', f"paths = [{json.dumps(path_to_list(archive))}]"]  # as TOML has it
    what = f"The origin {archive.authority} does not list {archive.path}." if origin else f"No origin is named {archive.authority}."
    hint = f"{_meant_host(archive.authority, hosts)}To allow it, run: {command} — or write into mirror.toml: {' '.join(lines)}"
    if origin and (archive.path.endswith("/") or origin.lists(f"{archive.path}/")):
        below = f"{archive.authority}{archive.path.rstrip('/')}/*"
        hint = f"What is stored below it: dataset-mirror ls {quoted(below)} — {hint}"
    return NotAllowed(what, hint, archive=url, command=command, configuration=lines)
