"""Where the mirror's own pages are: their routes say it, and the routing of requests is told."""

from collections.abc import Iterable

from starlette.routing import BaseRoute

from dataset_mirror.origins.routing import OwnPaths


def own_paths(routes: Iterable[BaseRoute]) -> OwnPaths:
    """The paths of these routes; a first segment with more below it is a folder of the mirror's own, whatever is asked for in it."""
    paths = [str(getattr(route, "path", "")) for route in routes]
    folders = {f"/{path.split('/')[1]}/" for path in paths if path.count("/") > 1}
    return OwnPaths(frozenset(path for path in paths if path and "{" not in path), tuple(sorted(folders)))
