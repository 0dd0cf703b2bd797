"""Names are resolved in threads of their own: a silent name server holds up nobody but those who ask for its names."""

import asyncio
import socket
import threading
from concurrent.futures import Future
from queue import SimpleQueue

from dataset_mirror.rules.host import is_address

MOST = 64
"""Threads at once. Each is held until `getaddrinfo` returns, for which the system's resolver takes some 10 s where nobody answers."""

Addresses = list[str]


class Names:
    """Look-ups: one at a time for a name, however many ask for it, so that one that hangs holds one thread.

    The threads are daemons, for nothing can end a look-up, and the process must be able to end meanwhile. (Those of a
    ThreadPoolExecutor are joined at exit.)
    """

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._flights: dict[str, Future[Addresses]] = {}
        self._waiting: SimpleQueue[str] = SimpleQueue()
        self._threads = 0

    async def addresses_of(self, host: str) -> Addresses:
        """All addresses of a name, in the system's order (RFC 6724). OSError if it has none. Time is limited by who asks."""
        if is_address(host):
            return [host]
        flight: asyncio.Future[Addresses] = asyncio.wrap_future(self._flight(host))
        return await flight

    def _flight(self, host: str) -> Future[Addresses]:
        with self._lock:
            if (known := self._flights.get(host)) is not None:
                return known
            flight: Future[Addresses] = Future()
            flight.set_running_or_notify_cancel()  # from now on who leaves cannot cancel it for the others
            self._flights[host] = flight
            self._waiting.put(host)
            if self._threads < min(len(self._flights), self._most):
                self._threads += 1
                threading.Thread(target=self._look_up, name=f"names-{self._threads}", daemon=True).start()
            return flight

    def _look_up(self) -> None:
        while True:
            self._answer(self._waiting.get())

    def _answer(self, host: str) -> None:
        try:
            found = _ask(host)
        except OSError as error:
            self._landed(host).set_exception(error)
        else:
            self._landed(host).set_result(found)

    def _landed(self, host: str) -> Future[Addresses]:
        """Whoever asks from now on asks again."""
        with self._lock:
            return self._flights.pop(host)


def _ask(host: str) -> Addresses:
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except UnicodeError:  # an empty label, or one of more than 63 characters
        raise OSError(f"{host!r} is no name") from None
    return list(dict.fromkeys(str(answer[4][0]) for answer in found))


_names = Names()


async def addresses_of(host: str) -> Addresses:
    """All addresses of a name or an address, in the system's order. OSError if there is none. Time is limited by who asks."""
    return await _names.addresses_of(host)
