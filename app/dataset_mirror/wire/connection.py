"""One connection of a client, HTTP/1.1 (RFC 9112): requests are read, answered in their order, and it ends truthfully.

uvicorn runs it (`Config(http=Connection)`) and is used by what it hands over: its configuration, the set of connections, the set
of tasks, the count of requests and the fields of its own (Date). It calls `shutdown` when it stops.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from dataset_mirror.errors import BadRequest, ConnectionsFull, MirrorError, RequestTimeout
from dataset_mirror.rules.secrets import without_secrets
from dataset_mirror.serve.asgi import RELAYED, ZERO_COPY, RawFields, Scope
from dataset_mirror.serve.observed import LINE, access, place
from dataset_mirror.wire import crowd, requests, scope
from dataset_mirror.wire.exchange import Exchange
from dataset_mirror.wire.framing import Framing, refusal
from dataset_mirror.wire.from_file import FromFile
from dataset_mirror.wire.line import Line
from dataset_mirror.wire.parsing import Head, Parser
from dataset_mirror.wire.services import Services
from dataset_mirror.wire.slow import Slow

if TYPE_CHECKING:
    import uvicorn
    from uvicorn.server import ServerState

log = logging.getLogger(__name__)

_HEADS = 2 * 1024
"""Bytes that are parsed at once: no more requests than fit in them wait in line, each of which takes a hundred times their memory."""
_BODIES = 64 * 1024
_UNREAD_BODY = 1024 * 1024
"""Bytes of a body that nobody wants which are read, so that the connection can go on."""


class Connection(Line):
    """One client's connection, plain or in TLS; `authority` is that of the CONNECT around it."""

    _is_last = _is_refused = _is_idle = _is_head = False
    """Whether no more requests are read, something was refused behind an answer, nothing is under way, and what is being read is
    a HEAD, so that its refusal has no body.
    """
    _slow: Slow | None = None
    """The answer from memory that the client has not taken yet."""
    _target: str | None = None
    """Of a CONNECT that has come."""
    credentials: str | None = None
    """Its field Proxy-Authorization."""
    _unwanted = 0
    """Bytes of a body that came after its answer."""

    def __init__(
        self,
        config: uvicorn.Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
        *,
        services: Services,
        authority: str | None = None,
    ) -> None:
        self._config, self.server_state, self._app_state = config, server_state, app_state
        self.services = services
        super().__init__(self.services.crowd)
        self.authority = authority
        self.loop = _loop or asyncio.get_running_loop()
        self.access_log = access.hasHandlers()
        self._parser = Parser(self)
        self._unread = self._read_now = b""
        """What is to be parsed, and what is being parsed."""
        self._running: Exchange | FromFile | None = None
        self._arriving: Exchange | None = None
        """The request whose body is being read."""
        self._queue: deque[Exchange] = deque()

    def within(self, authority: str | None) -> Connection:
        """Another one, for the same app, that comes through this one by CONNECT to an authority."""
        services = replace(self.services, opener=None)
        return Connection(self._config, self.server_state, self._app_state, self.loop, services=services, authority=authority)

    # What asyncio tells

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._shared = scope.of_connection(self.transport, self.authority)
        self.client: tuple[str, int] | None = self._shared["client"]
        self.takes_files = ZERO_COPY in self._shared["extensions"]
        self.server_state.connections.add(self)  # type: ignore[arg-type]
        if self._crowd.enter(self):
            self._crowd.wait(self, self._crowd.head_timeout)
        else:
            self._answer_refusal(ConnectionsFull("All connections that are allowed are busy.", "Try again.", headers={"Retry-After": "5"}))

    def data_received(self, data: bytes) -> None:
        if self._is_lingering or self._is_refused or (self._is_last and self._arriving is None):
            return  # it is not to be answered; it is only taken so that the client can read
        if not self._unread and self._answered_again(data):
            return
        self._unread = self._unread + data if self._unread else data
        self._read()

    def eof_received(self) -> bool:
        """A client that only closed its sending side still gets its answers."""
        self.half_closed = True
        if self._is_lingering or not self.is_answering:
            self.close()
            return False
        if self._arriving is not None:  # of what it asks the rest never comes
            self._is_refused = True
            self._arriving.leave()
            if self._arriving is self._running:
                self._running = None
                self.break_off() if self._arriving.has_begun else self.close()
                return False
        self._watch()
        self._greet()
        return True

    def resume_writing(self) -> None:
        super().resume_writing()
        self._taken()

    def _taken(self) -> None:
        if self._slow:
            self.services.under_way.discard(self._slow)
            self._slow = None

    def connection_lost(self, exc: Exception | None) -> None:
        self.is_gone = True
        self._taken()
        self._let_go()
        self._room.set()
        if self._running:
            self._running.leave()
        self._queue.clear()

    # What uvicorn and the crowd tell

    def shutdown(self) -> None:
        """The mirror is shutting down: what is asked for is answered still, and no more."""
        self._is_stopping = True
        if self._running is None:
            self.close()
        elif not self._queue:
            self._running.closes = True

    def expire(self) -> None:
        """The client has been silent for too long."""
        late = RequestTimeout("The request did not arrive in time.", "Send it faster.")
        if self._arriving is not None:
            self._refuse(late)
        elif self._is_lingering or self._parser.is_between:
            self.close()
        else:
            self._answer_refusal(late)

    # Reading

    def _read(self) -> None:
        """Parses what has come, until a request has to wait for the answer to another."""
        while self._unread and not (self._queue or self._is_refused or self._is_lingering or self.is_gone):
            step = _BODIES if self._parser.in_body else _HEADS
            self._read_now, self._unread = self._unread[:step], self._unread[step:]
            try:
                behind = self._parser.feed(self._read_now)
            except MirrorError as error:
                if not self._is_last or self._arriving is not None:
                    self._refuse(error)
                self._unread = b""
                break
            if behind is not None and self._target is not None:
                return self._connect(self._target, is_last=not (behind or self._unread))
        self.regulate()
        return None

    def head(self, head: Head) -> None:
        """A request has come; MirrorError if it is refused."""
        if self._answered_from_memory(head):
            return
        self._is_head = head.method == "HEAD"
        requests.check(head)
        if head.method == "CONNECT":
            if self.services.opener is None:
                raise BadRequest("CONNECT leads nowhere here.", "Use CONNECT on the mirror's plain port.")
            if self.is_answering:
                raise BadRequest("CONNECT came before the answer to the request before it.", "Wait for that answer first.")
            self._target = head.target.decode("latin-1")
            self.credentials = next((value.decode("latin-1") for name, value in head.fields if name == b"proxy-authorization"), None)
            return
        exchange = self._exchange(head)
        self._arriving = exchange
        self._is_last = not head.keep_alive
        if self._running is None:
            self._start(exchange)
        else:
            self._queue.append(exchange)

    def part(self, data: bytes) -> None:
        """A part of a request's body."""
        if self._arriving is None:
            return
        if self._arriving.is_over:
            self._unwanted += len(data)
        self._arriving.take(data)

    def end(self) -> None:
        """The request is whole."""
        if self._arriving is not None:
            self._arriving.finish()
            self._arriving = None
            self._unwanted, self._is_head = 0, False

    def regulate(self) -> None:
        """Decides whether the client may send on, and how long it may take."""
        if self.is_gone or self._is_lingering:
            return None
        if self._unwanted > _UNREAD_BODY and self._running is not self._arriving:
            return self.linger()
        must_wait = bool(self._queue) or (self._arriving is not None and self._arriving.is_full)
        self._pause(must_wait=must_wait)
        self._set_deadline()
        return None

    def _set_deadline(self) -> None:
        if self._arriving is not None and not self._is_paused:
            self._crowd.wait(self, crowd.BODY_SECONDS)
        elif self.is_answering:
            self._crowd.work(self)
        elif self._is_idle and not self._parser.is_between:
            self._is_idle = False
            self._crowd.wait(self, self._crowd.head_timeout)

    def _answered_again(self, data: bytes) -> bool:
        """Answers at once what was asked before in the same bytes, if nothing else is under way. That needs no parser."""
        if not (self._parser.is_between and self._may_answer_at_once()):
            return False
        assert self.services.hot is not None
        answer = self.services.hot.again(data, self)
        if answer is None:
            return False
        self._answer(answer)
        return True

    def _answered_from_memory(self, head: Head) -> bool:
        """Answers what needs no app at once, if nothing else is being answered."""
        if not self._may_answer_at_once():
            return False
        assert self.services.hot is not None
        answer = self.services.hot.answer(head, self._read_now, self)
        if answer is None:
            return False
        self._answer(answer, in_parser=True)
        return True

    def _may_answer_at_once(self) -> bool:
        busy = self._running is not None or self._is_full or self.half_closed or self._is_stopping
        return not busy and self.services.hot is not None and not self.access_log

    def _answer(self, answer: bytes | FromFile, *, in_parser: bool = False) -> None:
        """From the first such answer on the connection stays armed: it is disarmed only where it is closed in order. That costs
        one call of the kernel for a connection, not two for an answer.
        """
        if isinstance(answer, bytes):
            self.arm(reset=True)
            self.transport.write(answer)
            if self._is_full and self.services.hot and self.client:
                self._slow = Slow(self.transport, self._known_as(), self.services.hot.latest, len(answer))
                self.services.under_way.add(self._slow)
            self.server_state.total_requests += 1
            return self._rest()
        self._running = answer
        self._crowd.work(self)
        if in_parser:  # whose work must be done before the next request is looked at
            self.loop.call_soon(answer.begin, self)
        else:
            answer.begin(self)
        return None

    def _rest(self) -> None:
        """Nothing is under way: the next request may take its time."""
        self._is_idle = True
        self._crowd.wait(self, crowd.IDLE_SECONDS)

    # Answering

    @property
    def is_answering(self) -> bool:
        return self._running is not None

    @property
    def peer(self) -> str | None:
        """The address at the other end, if there is one."""
        return self.client[0] if self.client else None

    @property
    def own_fields(self) -> RawFields:
        return self.server_state.default_headers

    def _exchange(self, head: Head) -> Exchange:
        expects = any(name == b"expect" and value.lower() == b"100-continue" for name, value in head.fields)
        return Exchange(
            self,
            scope.of_request(self._shared, head, self._config.root_path, self._app_state),
            Framing(head.method, head.version, keep_alive=head.keep_alive),
            expects_continue=expects and head.version == "1.1",
        )

    def _start(self, exchange: Exchange) -> None:
        self._running = exchange
        task = self.loop.create_task(exchange.run(self._config.loaded_app))
        self.server_state.tasks.add(task)
        task.add_done_callback(self.server_state.tasks.discard)
        if self.half_closed:
            self.loop.call_soon(self._greet)

    def completed(self, exchange: Exchange | FromFile) -> None:
        """All of an answer is the kernel's; what is next?"""
        if exchange is not self._running:
            return
        self.server_state.total_requests += 1
        self._running = None
        if self.transport.is_closing():
            return
        if exchange.closes or (self._is_stopping and not self._queue):
            self._close_in_order()
        elif self._queue:
            self._start(self._queue.popleft())
            self._read()
        elif self._is_refused:
            self._end_refused()
        else:
            self._rest()
            self._read()
            if self.half_closed and not self.is_answering and not self._unread:
                self._close_in_order()

    def ran(self, exchange: Exchange) -> None:
        """An app is done; if its answer is not, nobody will give one."""
        if exchange is self._running:
            self._running = None

    def _greet(self) -> None:
        if self._running is not None and not self._running.has_begun:
            self.greet()

    # Refusing

    def _refuse(self, error: MirrorError) -> None:
        """Answers a request that cannot be: not within another answer, and not before its end."""
        broken, self._arriving = self._arriving, None
        self._unread = b""
        if broken is not None and broken.is_over:  # it is answered already
            return self.linger()
        if broken is not None and broken is self._running:
            if broken.has_begun:
                return self.break_off()
            return self.refuse_running(error)
        if broken is not None and broken in self._queue:
            self._queue.remove(broken)
        if self.is_answering:
            self._is_refused = True
            return self.regulate()
        return self._answer_refusal(error)

    def refuse_running(self, error: MirrorError) -> None:
        """Answers in place of the app, which has not begun to."""
        if self._running is not None:
            if isinstance(self._running, Exchange):
                self._log(self._running.scope, error.status)
                self._is_head = self._running.scope["method"] == "HEAD"
            self._running.leave()
            self._running = None
        self._answer_refusal(error)

    def _answer_refusal(self, error: MirrorError) -> None:
        log.debug("Refused a request: %s", error)
        self._queue.clear()
        if not self.transport.is_closing():
            self.write_head(refusal(error, self.own_fields, is_head=self._is_head))
            self.linger()

    def _end_refused(self) -> None:
        """After the answer that garbage came behind. In TLS an alert says so; a reset here would take what was not read."""
        if self.authority is not None or self.transport.get_extra_info("sslcontext") is not None:
            self.break_off()
        else:
            self.linger()

    # The end

    def _close_in_order(self) -> None:
        """If the client may be sending still, it gets the time to read first."""
        if self._unread or self._is_paused or self._arriving is not None:
            return self.linger()
        return self.close()

    def linger(self) -> None:
        """As above; what comes now is not read."""
        self._unread, self._arriving = b"", None
        super().linger()

    def break_off(self) -> None:
        """As above; nobody waits for the answers any more."""
        self._queue.clear()
        if self._running:
            self._running.leave()
        super().break_off()

    def _departed(self, lost: bool) -> None:
        if lost:
            self.break_off()
        else:
            self._greet()

    def hand_over(self) -> asyncio.Transport:
        """The connection becomes somebody else's: it would be waited for when the mirror is stopped."""
        self._let_go()
        return self.transport

    def _let_go(self) -> None:
        self.server_state.connections.discard(self)
        self._crowd.leave(self)
        self._crowd.departures.forget(self.socket)

    def _connect(self, target: str, *, is_last: bool) -> None:
        assert self.services.opener is not None
        self._is_paused = True
        self.transport.pause_reading()
        return self.services.opener(self, target, is_last=is_last)

    def take_over(self, target: str, credentials: str | None, *, is_last: bool) -> None:
        """Goes on with a CONNECT that another process has read; `is_last`: nothing came behind it."""
        if not self._is_lingering:
            self.credentials = credentials
            self._connect(target, is_last=is_last)

    def refuse_connect(self, answer: bytes) -> None:
        """A CONNECT that was handed over comes to nothing."""
        self.server_state.connections.add(self)  # type: ignore[arg-type]
        self._crowd.enter(self)
        self.write_head(answer)
        self.linger()

    # What is said of it

    def _known_as(self) -> str:
        return self.services.known_as(self.client[0]) if self.client else ""

    def _log(self, asked: Scope, status: int) -> None:
        """A line for a request that is answered in place of the app, which logs all others."""
        if not asked.get(RELAYED):
            query = b"?" + asked["query_string"] if asked["query_string"] else b""
            target = without_secrets(quote(asked["path"]) + query.decode("ascii"))
            self.log_line(asked["method"], target, asked["http_version"], status)

    def log_line(self, method: str, target: str, version: str, status: int) -> None:
        """A line of the access log, if there is one."""
        if self.access_log:
            access.info(LINE, place(self.client, self._known_as()) if self.client else "", method, target, version, status)
