"""The one place where the parts are wired together. `uvicorn app.main:app` works too, without the arming of connections."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from app.mirror import Mirror
from app.serve.asgi import App
from app.serve.gateway import Gateway
from app.settings import Configuration, load
from app.status.routes import pages
from app.store.store import Store

if TYPE_CHECKING:
    from fastapi import FastAPI


def open_store(configuration: Configuration) -> Store:
    """The data folder that the settings name; DataFolderError if it cannot be used."""
    settings = configuration.settings
    return Store(settings.data, min_free=settings.min_free, database=settings.database)


def create_app(configuration: Configuration, store: Store | None = None, port: int | None = None) -> App:
    """The ASGI app, listening at `port` (default: the settings'). Without `store` it opens its own, and takes its lock."""
    if store is None:
        store = open_store(configuration)
        store.lock()
    mirror = Mirror(configuration, store)

    @asynccontextmanager
    async def lifespan(_: "FastAPI") -> AsyncIterator[None]:
        await mirror.start()
        try:
            yield
        finally:
            await mirror.stop()

    return Gateway(mirror, pages(mirror, lifespan), port or configuration.settings.port)


def __getattr__(name: str) -> App:
    if name == "app":  # made only when a server asks for it
        return create_app(load())
    raise AttributeError(name)
