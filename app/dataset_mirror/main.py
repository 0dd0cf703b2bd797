"""The one place where the parts are wired together.

`uvicorn --app-dir app dataset_mirror.main:app` works too, without the arming of connections.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from dataset_mirror.doors.ca import CertificateAuthority
from dataset_mirror.doors.connect import Connect
from dataset_mirror.doors.decision import Doors
from dataset_mirror.doors.relay import relay
from dataset_mirror.mirror import Mirror
from dataset_mirror.rules.anonymous import anonymised
from dataset_mirror.serve.asgi import App
from dataset_mirror.serve.gateway import Gateway
from dataset_mirror.serve.observed import observed
from dataset_mirror.settings import Configuration, load
from dataset_mirror.status.events import Events
from dataset_mirror.status.routes import pages
from dataset_mirror.store.key import made_key
from dataset_mirror.store.store import open_store
from dataset_mirror.upkeep.ahead import Ahead, running
from dataset_mirror.upkeep.notify import Notifier
from dataset_mirror.wire.crowd import Crowd, Limits
from dataset_mirror.wire.hot import Hot
from dataset_mirror.wire.services import Services

if TYPE_CHECKING:
    from fastapi import FastAPI


def open_mirror(configuration: Configuration) -> Mirror:
    """A mirror, not started yet, with a store of its own whose lock it has."""
    store = open_store(configuration)
    store.lock()
    return Mirror(configuration, store)


@dataclass(frozen=True)
class Parts:
    """A mirror wired together: the ASGI app, and what our own connections need besides."""

    app: App
    services: Services
    doors: Doors


def create_app(mirror: Mirror, port: int) -> App:
    """The ASGI app alone, listening at `port`; it starts and stops the mirror."""
    return assemble(mirror, port).app


def assemble(mirror: Mirror, port: int) -> Parts:
    """All parts of a mirror that listens at `port`."""
    ca = CertificateAuthority(mirror.store.folder, lambda: mirror.origins)

    ahead, notifier, events = Ahead(mirror), Notifier(mirror), Events(mirror)

    @asynccontextmanager
    async def lifespan(_: "FastAPI") -> AsyncIterator[None]:
        await mirror.start()
        try:
            async with running(ahead.run(), notifier.look_for_ever(), notifier.send_for_ever(), events.look_for_ever()):
                yield
        finally:
            await mirror.stop()

    hot, doors = Hot(mirror), Doors(mirror, ca, port)
    own_pages = pages(mirror, ca, made_key(mirror.store.folder), events, lifespan)
    gateway = Gateway(mirror, own_pages, own_pages.state.own, port, keep=hot.keep, relay=partial(relay, mirror))
    crowd = Crowd(lambda: Limits(mirror.settings.head_timeout, mirror.settings.max_connections))
    services = Services(
        hot,
        Connect(doors),
        crowd,
        under_way=mirror.recent.under_way,
        known_as=lambda address: anonymised(address, mirror.settings.anonymise_clients),
        stopping=events.end,
    )
    return Parts(observed(mirror, gateway), services, doors)


def __getattr__(name: str) -> App:
    if name == "app":  # made only when a server asks for it, and kept: uvicorn asks twice
        configuration = load()
        made = globals()["app"] = create_app(open_mirror(configuration), configuration.settings.port)
        return made
    raise AttributeError(name)
