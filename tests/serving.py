"""A real mirror in a process of its own, as a person starts it."""

from __future__ import annotations

import http.client
import json
import os
import selectors
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from email.message import Message
from pathlib import Path
from typing import Any, ClassVar, Self
from urllib.parse import urlsplit

from tests import warm
from tests.origin import Origin

HOST = "data.example.org"
"""The origin that mirrors under test know, besides those of the preset; its bytes come from tests.origin."""
URL = f"https://{HOST}"
PROGRAM = str(Path(sys.executable).with_name("dataset-mirror"))
PATIENCE = warm.PATIENCE


@dataclass(frozen=True)
class Answer:
    """A whole response; `fields` are matched without regard to case."""

    status: int
    fields: Message
    body: bytes

    @property
    def problem(self) -> dict[str, Any]:
        """The body as a problem document (RFC 9457)."""
        assert self.fields["content-type"] == "application/problem+json"
        document: dict[str, Any] = json.loads(self.body)
        assert document["status"] == self.status
        return document


class Mirror:
    """`dataset-mirror serve` on a free port. `settings` go into the environment as DATASET_MIRROR_*."""

    running: ClassVar[list[Mirror]] = []
    program: str | None = None
    """What is run as `dataset-mirror`, from its first byte on; if None, a process that has it loaded already."""

    def __init__(self, data: Path, **settings: object) -> None:
        self.data = data
        self.url = ""
        self.process: subprocess.Popen[str] | warm.Process | None = None
        self.may_log_traceback = False
        self._settings = settings
        self._log = data.with_name(data.name + ".log")

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- Its life

    def start(self, *options: str) -> Self:
        """Starts it and waits until it listens."""
        arguments = ["serve", "--data", str(self.data), "--port", "0", *options]
        known, folder = environment(self.data, self._settings), self.data.parent
        with self._log.open("a") as log:
            if self.program is None:
                self.process = warm.Process.piped(arguments, log.fileno(), known, folder)
            else:
                command = [self.program, *arguments]
                self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True, env=known, cwd=folder)
        Mirror.running.append(self)
        self.url = self._announced()
        return self

    def stop(self) -> None:
        """Stops it as a service manager does; it must end with 0."""
        self.signal(signal.SIGTERM)
        self.ended()

    def signal(self, number: signal.Signals) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def ended(self, status: int = 0) -> None:
        """Waits for its end, which must have this exit status."""
        assert self.process is not None
        status_seen = self.process.wait(PATIENCE)
        self._forget()
        assert status_seen == status, f"exit status {status_seen}\n{self.log}"

    def kill(self) -> None:
        """SIGKILL: it cannot tidy up."""
        assert self.process is not None
        self.process.kill()
        self.process.wait(PATIENCE)
        self._forget()

    def restart(self, *options: str) -> Self:
        """Stops it and starts it again on the same data, at another port."""
        self.stop()
        return self.start(*options)

    def close(self) -> None:
        """Ends it if it still runs. What it logged must not have a traceback, unless the test asked for one."""
        if self.process is not None:
            self.stop()
        assert self.may_log_traceback or "Traceback" not in self.log, self.log

    # -- What it says

    @property
    def log(self) -> str:
        """All that it wrote to standard error, over restarts."""
        return self._log.read_text() if self._log.exists() else ""

    @property
    def port(self) -> int:
        return urlsplit(self.url).port or 80

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    @property
    def memory(self) -> int:
        """Bytes of memory that it has now."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        return int(status.partition("VmRSS:")[2].split()[0]) * 1024

    @property
    def blobs(self) -> list[Path]:
        """Files of blobs that it keeps."""
        return sorted((self.data / "blobs").glob("sha256/*/*"))

    def at(self, path: str) -> str:
        """The URL of an archive of the test's origin, in its path form."""
        return f"{self.url}/{HOST}{path}"

    # -- Asking it

    def get(self, path: str, method: str = "GET", fields: Mapping[str, str] | None = None, content: bytes | None = None) -> Answer:
        """One request on a connection of its own."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        try:
            connection.request(method, path, body=content, headers=dict(fields or {}))
            response = connection.getresponse()
            return Answer(response.status, response.headers, response.read())
        finally:
            connection.close()

    def archive(self, path: str, **fields: str) -> Answer:
        """GET of an archive of the test's origin; `if_range=…` is the field If-Range."""
        return self.get(f"/{HOST}{path}", fields={name.replace("_", "-"): value for name, value in fields.items()})

    def head(self, path: str) -> Answer:
        """HEAD of an archive of the test's origin."""
        return self.get(f"/{HOST}{path}", "HEAD")

    def api(self, path: str, **asked: object) -> Answer:
        """POST of a JSON object below /api/, as a command on this machine does it."""
        fields = {**self.key, "Content-Type": "application/json"}
        return self.get(f"/api/{path}", "POST", fields, json.dumps(asked).encode())

    @property
    def key(self) -> dict[str, str]:
        """The fields by which a command beside the mirror, of the user who runs it, may change it."""
        return {"X-Dataset-Mirror": "1", "Authorization": f"Bearer {(self.data / 'api.key').read_text().strip()}"}

    @property
    def status(self) -> dict[str, Any]:
        """What GET /status says."""
        known: dict[str, Any] = json.loads(self.get("/status").body)
        return known

    # -- Its process

    def _announced(self) -> str:
        assert self.process is not None
        assert self.process.stdout is not None
        with selectors.DefaultSelector() as selector:
            selector.register(self.process.stdout, selectors.EVENT_READ)
            if not selector.select(PATIENCE):
                raise TimeoutError(f"it does not say where it listens\n{self.log}")
        line = self.process.stdout.readline()
        if "is listening on " not in line:
            self.process.wait(PATIENCE)
            self._forget()
            raise AssertionError(f"it does not listen: {line!r}\n{self.log}")
        return line.split("is listening on ")[1].split()[0]

    def _forget(self) -> None:
        assert self.process is not None
        assert self.process.stdout is not None
        self.process.stdout.close()
        self.process = None
        Mirror.running.remove(self)


def environment(home: Path, settings: Mapping[str, object]) -> dict[str, str]:
    """An environment with these settings and nothing of the person who runs the tests; what is no string becomes JSON."""
    outside = ("DATASET_MIRROR_", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "KERAS_", "XDG_")
    kept = {name: value for name, value in os.environ.items() if not name.upper().startswith(outside)}
    ours = {f"DATASET_MIRROR_{name.upper()}": value if isinstance(value, str) else json.dumps(value) for name, value in settings.items()}
    return kept | {"HOME": str(home)} | ours


def mirroring(origin: Origin, data: Path, **settings: Any) -> Mirror:
    """A mirror, not yet started, for which `origin` is the upstream of HOST (paths below /sets/) and of the hosts of the preset Keras."""
    hosts = (HOST, "storage.googleapis.com", "www.cs.toronto.edu", "huggingface.co")
    known: dict[str, Any] = {
        "origins": [{"url": URL, "paths": ["/sets/"]}],
        "upstreams": {host: [origin.url] for host in hosts},
        "grace": 1,
    }
    return Mirror(data, **known | settings)


def folders(parent: Path) -> Iterator[Path]:
    """Names for data folders."""
    number = 0
    while True:
        number += 1
        yield parent / f"data-{number}"
