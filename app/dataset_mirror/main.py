"""The one place where the parts are wired together.

`uvicorn --app-dir app dataset_mirror.main:app` works too, without the arming of connections.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from dataset_mirror.doors.ca import CertificateAuthority
from dataset_mirror.doors.connect import Connect
from dataset_mirror.doors.decision import Doors
from dataset_mirror.doors.handing import Handing
from dataset_mirror.doors.relay import relay
from dataset_mirror.mirror import Mirror
from dataset_mirror.origins.routing import OwnPaths
from dataset_mirror.rules.anonymous import anonymised
from dataset_mirror.serve.asgi import App, Receive, Scope, Send
from dataset_mirror.serve.gateway import Gateway
from dataset_mirror.serve.observed import observed
from dataset_mirror.settings import Configuration, load
from dataset_mirror.status.app import pages
from dataset_mirror.status.events import Events
from dataset_mirror.status.here import Site
from dataset_mirror.store.key import made_key
from dataset_mirror.store.store import open_store
from dataset_mirror.upkeep.ahead import Ahead, running
from dataset_mirror.upkeep.notify import Notifier
from dataset_mirror.wire.crowd import Crowd, Limits
from dataset_mirror.wire.hot import Hot
from dataset_mirror.wire.services import Opener, Services
from dataset_mirror.wire.workers.hits import HitsOnly, answering
from dataset_mirror.wire.workers.remote import Far
from dataset_mirror.wire.workers.worker import Parts as WorkerParts
from dataset_mirror.wire.workers.worker import Worker

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
    own: OwnPaths


def create_app(mirror: Mirror, port: int) -> App:
    """The ASGI app alone, listening at `port`; it starts and stops the mirror."""
    return assemble(mirror, port).app


def assemble(mirror: Mirror, port: int, processes: int = 1) -> Parts:
    """All parts of a mirror that listens at `port`, with so many processes in all."""
    ca = CertificateAuthority(mirror.store.folder, lambda: mirror.origins)
    mirror.port = port

    ahead, notifier, events = Ahead(mirror), Notifier(mirror), Events(mirror)

    @asynccontextmanager
    async def lifespan(_: "FastAPI") -> AsyncIterator[None]:
        with mirror.tail.attached():
            async with _started(mirror), running(ahead.run(), notifier.look_for_ever(), notifier.send_for_ever(), events.look_for_ever()):
                yield

    hot, doors = Hot(mirror, processes), Doors(mirror, ca, port)
    own_pages = pages(Site(mirror, ca, made_key(mirror.store.folder), events), lifespan)
    own: OwnPaths = own_pages.state.own
    gateway = Gateway(mirror, _counted(mirror, own_pages), own, port, keep=hot.keep, relay=partial(relay, mirror))
    return Parts(observed(mirror, gateway), _services(mirror, hot, Connect(doors), _crowd(mirror), events.end), doors, own)


@asynccontextmanager
async def _started(mirror: Mirror) -> AsyncIterator[None]:
    await mirror.start()
    try:
        yield
    finally:
        await mirror.stop()


def _services(mirror: Mirror, hot: Hot, opener: Opener, crowd: Crowd, stopping: Callable[[], None] | None = None) -> Services:
    def known_as(address: str) -> str:
        return anonymised(address, mirror.settings.anonymise_clients)

    return Services(hot, opener, crowd, under_way=mirror.recent.under_way, known_as=known_as, stopping=stopping)


def _counted(mirror: Mirror, app: App) -> App:
    """The pages, which tell what all processes have counted."""

    async def counted(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await mirror.others.gather()
        await app(scope, receive, send)

    return counted


def _crowd(mirror: Mirror, *, each: int = 3) -> Crowd:
    return Crowd(lambda: Limits(mirror.settings.head_timeout, mirror.settings.max_connections), each=each)


def assemble_worker(port: int, processes: int, worker: Worker, via: str, own: OwnPaths) -> WorkerParts:
    """The parts of a process that answers hits for a mirror that listens at `port`, and calls itself `via`.

    DataFolderError if its data folder has gone, or cannot be used.
    """
    store = open_store(worker.configuration, creates=False)
    mirror = HitsOnly(worker.configuration, store, worker.tell_stale)
    mirror.upstream.via = via
    doors = Doors(mirror, CertificateAuthority(store.folder, lambda: mirror.origins, issues=False), port)
    hot, far = Hot(mirror, processes), Far(worker.ask)
    gateway = Gateway(mirror, far, own, port, keep=hot.keep, relay=partial(relay, mirror))
    crowd = _crowd(mirror, each=4)  # a request that is passed on has a socket of its own
    services = _services(mirror, hot, Handing(doors, worker.hand_over), crowd)
    return WorkerParts(mirror, answering(mirror, gateway, far), services)


def __getattr__(name: str) -> App:
    if name == "app":  # made only when a server asks for it, and kept: uvicorn asks twice
        configuration = load()
        made = globals()["app"] = create_app(open_mirror(configuration), configuration.settings.port)
        return made
    raise AttributeError(name)
