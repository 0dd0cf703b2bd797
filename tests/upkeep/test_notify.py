"""The webhook: what is told, in which words, how often it is tried, and what is never told."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from tests.conftest import StartMirror
from tests.origin import Origin, body
from tests.serving import URL, Mirror
from tests.waiting import until

SECRET = "s3cr3tS3cr3t0123456789"


class Hook:
    """Who is told: keeps what came, and answers with the statuses in order, the last one again and again."""

    def __init__(self, *statuses: int) -> None:
        hook = self
        self.told: list[dict[str, Any]] = []
        self.statuses = list(statuses) or [204]

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                hook.told.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                status = hook.statuses.pop(0) if len(hook.statuses) > 1 else hook.statuses[0]
                self.send_response(status)
                if 300 <= status < 400:
                    self.send_header("Location", "/elsewhere")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Nothing."""

        self._server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/hook/{SECRET}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def hook() -> Iterator[Hook]:
    """One that takes all."""
    hook = Hook()
    yield hook
    hook.close()


def counted(mirror: Mirror, result: str) -> bool:
    """Whether /metrics has one notification with that result."""
    return f'dataset_mirror_notifications_total{{result="{result}"}} 1.0' in mirror.get("/metrics").body.decode()


def test_a_failure_is_told_once(start_mirror: StartMirror, hook: Hook) -> None:
    """A download that failed is told with its reason; the same one again is not. The URL of the webhook is in no log."""
    mirror = start_mirror(notify=hook.url)
    mirror.archive(f"/sets/none.bin?token={SECRET}")
    until(lambda: hook.told)
    told = hook.told[0]
    assert (told["event"], told["count"]) == ("failure", 1)
    assert "404" in told["text"]
    assert "404" in told["detail"]
    assert SECRET not in json.dumps(told)
    until(lambda: counted(mirror, "sent"))
    assert SECRET not in mirror.log
    assert "/hook/" not in mirror.get("/status").body.decode()


def test_a_change_is_told(start_mirror: StartMirror, origin: Origin, hook: Hook) -> None:
    """An archive that has other bytes at its origin is told."""
    origin.add("/sets/a.bin", body(1000))
    mirror = start_mirror(notify=hook.url, origins=[{"url": URL, "paths": ["/sets/"], "freshness": 0}])
    mirror.archive("/sets/a.bin")
    origin.add("/sets/a.bin", body(1000, 2), etag='"v2"')
    mirror.archive("/sets/a.bin")
    until(lambda: hook.told)
    assert (hook.told[0]["event"], hook.told[0]["url"]) == ("changed", f"{URL}/sets/a.bin")


def test_a_full_disk_is_told(start_mirror: StartMirror, hook: Hook) -> None:
    """That nothing more has room is told with figures and what to do."""
    start_mirror(notify=hook.url, min_free=10**18)
    until(lambda: hook.told)
    assert hook.told[0]["event"] == "disk"
    assert "min_free" in hook.told[0]["detail"]
    assert "gc --dry-run" in hook.told[0]["hint"]


@pytest.mark.parametrize(("statuses", "attempts", "result"), [((503, 204), 2, "sent"), ((400,), 1, "failed"), ((302, 204), 2, "sent")])
def test_how_often_it_is_tried(start_mirror: StartMirror, statuses: tuple[int, ...], attempts: int, result: str) -> None:
    """What was not taken is told again, what is refused is not; no redirect is followed, and a client waits for none of it."""
    hook = Hook(*statuses)
    mirror = start_mirror(notify=hook.url)
    assert mirror.archive("/sets/none.bin").status == 404
    until(lambda: counted(mirror, result))
    assert len(hook.told) == attempts
    assert SECRET not in mirror.log
    hook.close()


def test_offline_nothing_is_told(start_mirror: StartMirror, hook: Hook) -> None:
    """Offline no packet leaves, not even to the operator's own URL."""
    mirror = start_mirror(notify=hook.url, offline=True, min_free=10**18)
    mirror.archive("/sets/none.bin")
    mirror.stop()
    assert hook.told == []
