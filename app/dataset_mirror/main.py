"""The one place where the parts are wired together.

`uvicorn --app-dir app dataset_mirror.main:app` works too, without the arming of connections.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from dataset_mirror.doors.ca import CertificateAuthority
from dataset_mirror.mirror import Mirror
from dataset_mirror.serve.asgi import App
from dataset_mirror.serve.gateway import Gateway
from dataset_mirror.settings import Configuration, load
from dataset_mirror.status.routes import pages
from dataset_mirror.store.key import made_key
from dataset_mirror.store.store import open_store

if TYPE_CHECKING:
    from fastapi import FastAPI


def open_mirror(configuration: Configuration) -> Mirror:
    """A mirror, not started yet, with a store of its own whose lock it has."""
    store = open_store(configuration)
    store.lock()
    return Mirror(configuration, store)


def create_app(mirror: Mirror, port: int) -> Gateway:
    """The ASGI app, listening at `port`; it starts and stops the mirror."""
    ca = CertificateAuthority(mirror.store.folder, lambda: mirror.origins)

    @asynccontextmanager
    async def lifespan(_: "FastAPI") -> AsyncIterator[None]:
        await mirror.start()
        try:
            yield
        finally:
            await mirror.stop()

    own_pages = pages(mirror, ca, made_key(mirror.store.folder), lifespan)
    return Gateway(mirror, own_pages, own_pages.state.own, port, ca)


def __getattr__(name: str) -> App:
    if name == "app":  # made only when a server asks for it, and kept: uvicorn asks twice
        configuration = load()
        made = globals()["app"] = create_app(open_mirror(configuration), configuration.settings.port)
        return made
    raise AttributeError(name)
