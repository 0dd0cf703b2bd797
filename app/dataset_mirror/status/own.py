"""Where the mirror's own pages are: their routes say it, and the routing of requests is told."""

from collections.abc import Iterable

from starlette.routing import BaseRoute

from dataset_mirror.origins.routing import OwnPaths, bare_owners
from dataset_mirror.origins.table import Origins

ALWAYS = "/status/pages"
"""Below it each page is a second time, where no origin's path can be."""


def own_paths(routes: Iterable[BaseRoute], yielding: Iterable[BaseRoute] = ()) -> OwnPaths:
    """The paths of these routes; a first segment with more below it is a folder of the mirror's own, whatever is asked for in it.

    `yielding` are pages whose paths are left to an origin that has them.
    """
    paths = _paths(routes)
    folders = {f"/{path.split('/')[1]}/" for path in paths if path.count("/") > 1}
    exact = frozenset(path for path in paths if path and "{" not in path)
    return OwnPaths(exact, tuple(sorted(folders)), frozenset(path.split("/")[1] for path in _paths(yielding)))


def page_link(path: str, origins: Origins) -> str:
    """Where a page whose path yields is found: there, or below `ALWAYS` if an origin has that very path."""
    return ALWAYS + path if bare_owners(path.partition("?")[0], origins) else path


def _paths(routes: Iterable[BaseRoute]) -> list[str]:
    return [str(getattr(route, "path", "")) for route in routes]
