"""`demo`: what a mirror does, shown with the figures of this very run, without the internet.

A throwaway origin in this process, and a real `dataset-mirror serve` beside it, both on free ports and in a temporary folder.
Every claim is checked while it is shown.
"""

import asyncio
import errno
import hashlib
import json
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import click
import httpx

from app.cli.demo_origin import LATENCY, RATE, Sample, SlowOrigin, generated
from app.errors import MirrorError
from app.store.folder import DataFolder, server_of

HOST = "archives.example"
"""The origin's name; it exists nowhere (RFC 2606), so nothing can reach the internet by mistake."""
CLIENTS = 20
START_SECONDS, STOP_SECONDS = 30.0, 5.0
END = """
All of it held. The real thing, and a download to try in another terminal:

dataset-mirror serve
curl -fO http://127.0.0.1:8080/tensorflow/tf-keras-datasets/boston_housing.npz"""

Figures = dict[str, object]


class DemoFailed(MirrorError):
    """The demo could not even begin."""


@click.command(name="demo")
@click.option("--json", "as_json", is_flag=True, help="Print the figures as one JSON object.")
def command(as_json: bool) -> None:
    """See what a mirror does: some ten seconds, without the internet, without any setting.

    Starts a small origin that is slow on purpose and a real mirror before it, both on this machine and in a temporary folder,
    and shows: a miss, a hit, many clients at once, a range, a damaged origin, an origin that is gone. Ends with 1 if a claim
    does not hold. Nothing is left behind; Ctrl-C ends it early.
    """
    story = _Story(as_json)
    try:
        held = asyncio.run(_until_stopped(story))
    except (KeyboardInterrupt, asyncio.CancelledError):
        story.complain("Stopped; nothing is left behind.")
        sys.exit(1)
    except OSError as error:
        if error.errno == errno.EPIPE:
            raise  # whoever reads our lines has gone; click ends quietly
        raise DemoFailed(f"The demo cannot run here: {error}.", "It needs 50 MB in the temporary folder; TMPDIR names another.") from None
    sys.exit(0 if held else 1)


async def _until_stopped(story: "_Story") -> bool:
    """Runs it; the first signal ends it by the way of cancelling, and later ones do not disturb the cleaning up."""
    loop, shown = asyncio.get_running_loop(), asyncio.create_task(_shown(story))
    stopping = False

    def stop() -> None:
        nonlocal stopping
        if not stopping:
            stopping = shown.cancel()

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if number == signal.SIGINT or signal.getsignal(number) != signal.SIG_IGN:  # nohup stays in force
            loop.add_signal_handler(number, stop)
    return await shown


async def _shown(story: "_Story") -> bool:
    """The whole demo: True if every claim holds."""
    began = time.monotonic()
    story.say("A mirror and a throwaway origin, both on this machine, without the internet.")
    story.say(f"The origin is slow on purpose: {LATENCY * 1e3:.0f} ms away, {RATE / 1e6:.0f} MB/s per connection.\n")
    samples = _Samples(
        generated("digits.zip", 12_000_000), generated("faces.zip", 12_000_000), generated("bad.zip", 4_000_000, damaged=True)
    )
    async with _stage(samples, story) as stage:
        shown = await _steps(stage)
        if any(step.failed for step in shown.values()):
            story.complain("The mirror said:", stage.log())
    failed = [f"{name}: {claim}" for name, step in shown.items() for claim in step.failed]
    steps = {name: {**step.figures, "held": not step.failed} for name, step in shown.items()}
    story.end({"held": not failed, "failed": failed, "seconds": time.monotonic() - began, **steps})
    return not failed


# The steps


@dataclass(frozen=True, slots=True)
class _Samples:
    first: Sample
    second: Sample
    bad: Sample


@dataclass(frozen=True, slots=True)
class _Shown:
    """What one step showed: its line, its figures, and its claims, each with whether it holds."""

    line: str
    figures: Figures
    claims: Mapping[str, bool]

    @property
    def failed(self) -> list[str]:
        return [claim for claim, holds in self.claims.items() if not holds]


@dataclass(frozen=True, slots=True)
class _Download:
    """One download as a client saw it; times in seconds, sizes in bytes."""

    status: int
    bytes: int
    sha256: str
    seconds: float
    first_byte: float
    etag: str | None

    def is_whole(self, sample: Sample) -> bool:
        return self.status == 200 and self.sha256 == sample.sha256


async def _steps(stage: "_Stage") -> dict[str, _Shown]:
    stage.story.under_way("direct from the origin")
    direct = await stage.download(f"{stage.origin.url}/{stage.samples.first.name}", stage.samples.first)
    if not direct.is_whole(stage.samples.first):
        raise DemoFailed("The demo's own origin does not work.", "Report this as a bug.")
    steps: dict[str, Callable[[], Awaitable[_Shown]]] = {
        "miss": lambda: _miss(stage, direct),
        "hit": lambda: _hit(stage, direct),
        "crowd": lambda: _crowd(stage, direct),
        "range": lambda: _range(stage),
        "damaged": lambda: _damaged(stage),
        "gone": lambda: _gone(stage),
    }
    shown = {"direct": _Shown("", asdict(direct), {})}
    for number, (name, step) in enumerate(steps.items(), 1):
        stage.story.under_way(name)
        shown[name] = await _tried(step)
        stage.story.say(f"{number} {name:8}{shown[name].line}")
        for claim in shown[name].failed:
            stage.story.say(f"  DOES NOT HOLD: {claim}")
    return shown


async def _tried(step: Callable[[], Awaitable[_Shown]]) -> _Shown:
    try:
        return await step()
    except httpx.HTTPError as error:
        return _Shown("failed", {}, {f"the mirror answers ({type(error).__name__}: {error})": False})


async def _miss(stage: "_Stage", direct: _Download) -> _Shown:
    sample = stage.samples.first
    got = await stage.download(stage.url_of(sample), sample)
    line = f"{_mb(got.bytes)} in {got.seconds:.2f} s, first byte after {got.first_byte * 1e3:.0f} ms"
    line += f" (direct: {direct.seconds:.2f} s, {direct.first_byte * 1e3:.0f} ms)"
    claims = {
        "the bytes are right": got.is_whole(sample),
        "the first byte does not wait for the last": got.first_byte < direct.seconds / 2,
        "a miss takes hardly longer than the origin itself": got.seconds < 1.5 * direct.seconds + 0.5,
    }
    return _Shown(line, asdict(got), claims)


async def _hit(stage: "_Stage", direct: _Download) -> _Shown:
    sample = stage.samples.first
    asked = stage.origin.requests.total()
    got = await stage.download(stage.url_of(sample), sample)
    times = direct.seconds / got.seconds
    claims = {
        "the bytes are right": got.is_whole(sample),
        "the origin is not asked": stage.origin.requests.total() == asked,
        "a hit is faster than the origin": times > 2,
    }
    line = f"again: {got.seconds:.2f} s, {times:.0f} times faster; the origin was not asked"
    return _Shown(line, {**asdict(got), "times_faster": times}, claims)


async def _crowd(stage: "_Stage", direct: _Download) -> _Shown:
    sample, began = stage.samples.second, time.monotonic()
    asking = (stage.download(stage.url_of(sample), sample, of=CLIENTS) for _ in range(CLIENTS))
    ended = await asyncio.gather(*asking, return_exceptions=True)
    seconds, got = time.monotonic() - began, [download for download in ended if isinstance(download, _Download)]
    right = sum(download.is_whole(sample) for download in got)
    requests, upstream = stage.origin.requests[sample.name], stage.origin.sent[sample.name]
    line = f"{CLIENTS} clients at once, {seconds:.2f} s, {right} right; origin saw {requests} GET, {_mb(upstream)}"
    claims = {
        f"all {CLIENTS} clients get the same, right bytes": right == CLIENTS,
        "the origin is asked once": requests == 1,
        "the bytes come from the origin once": upstream <= 1.02 * len(sample.sends),
        "nobody waits much longer than one client alone": seconds < 2 * direct.seconds + 1,
    }
    figures: Figures = {
        "clients": CLIENTS,
        "right": right,
        "seconds": seconds,
        "first_byte": max((download.first_byte for download in got), default=None),
    }
    figures |= {"origin_requests": requests, "origin_bytes": upstream, "served_bytes": sum(download.bytes for download in got)}
    return _Shown(line, figures, claims)


async def _range(stage: "_Stage") -> _Shown:
    sample = stage.samples.first
    got = await stage.download(stage.url_of(sample), sample, {"range": "bytes=-1024"})
    claims = {"exactly the last 1,024 bytes come": (got.status, got.sha256) == (206, _sha256(sample.sends[-1024:]))}
    return _Shown(f"the last {got.bytes:,} bytes alone: {got.seconds * 1e3:.0f} ms", asdict(got), claims)


async def _damaged(stage: "_Stage") -> _Shown:
    sample, kept = stage.samples.bad, stage.kept()
    seen = await _seen_by_client(stage, sample)
    status = (await stage.client.get(f"{stage.mirror}/status")).raise_for_status().json()
    said = " ".join(failure["detail"] for failure in status["failures"] if failure["url"].endswith(sample.name))
    claims = {
        "the client sees an error, never a wrong file": seen is not None,
        "the mirror tells both digests": sample.sha256 in said and sample.sent_sha256 in said,
        "nothing is kept": stage.kept() == kept and status["archives"] == len(kept),
    }
    line = f"refused: origin sent {sample.sent_sha256[:8]}, catalog has {sample.sha256[:8]}; nothing kept"
    return _Shown(line, {"client_saw": seen, "expected": sample.sha256, "got": sample.sent_sha256, "mirror_said": said}, claims)


async def _seen_by_client(stage: "_Stage", sample: Sample) -> str | None:
    """The error that a client gets, or None if the download looks good to it."""
    try:
        got = await stage.download(stage.url_of(sample), sample)
    except httpx.HTTPError as error:
        return f"{type(error).__name__}: {error}".removesuffix(": ")
    return f"HTTP {got.status}" if got.status >= 400 else None


async def _gone(stage: "_Stage") -> _Shown:
    await stage.origin.stop()
    samples = [stage.samples.first, stage.samples.second]
    got = [await stage.download(stage.url_of(sample), sample) for sample in samples]
    seconds = sum(download.seconds for download in got)
    claims = {
        "the origin is gone": await _refuses(stage.client, stage.origin.url),
        "what was fetched is still served, byte for byte": all(map(_Download.is_whole, got, samples)),
    }
    line = f"origin stopped: both archives still served, {seconds:.2f} s, byte for byte"
    return _Shown(line, {"archives": len(got), "bytes": sum(download.bytes for download in got), "seconds": seconds}, claims)


async def _refuses(client: httpx.AsyncClient, url: str) -> bool:
    try:
        await client.get(url)
    except httpx.ConnectError:
        return True
    return False


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _mb(count: int) -> str:
    return f"{count / 1e6:.1f} MB"


# The stage


@dataclass(frozen=True, slots=True)
class _Stage:
    """All that runs, and one client of it."""

    samples: _Samples
    origin: SlowOrigin
    mirror: str
    """Its URL."""
    folder: DataFolder
    client: httpx.AsyncClient
    story: "_Story"

    def url_of(self, sample: Sample) -> str:
        return f"{self.mirror}/{HOST}/{sample.name}"

    def log(self) -> str:
        """What the mirror wrote on its standard error."""
        return (self.folder.root.parent / "mirror.log").read_text(encoding="utf-8", errors="replace").strip()

    def kept(self) -> set[str]:
        """Names of all files that hold bytes of archives, whole or not."""
        folders = (self.folder.blobs, self.folder.partial)
        return {file.name for folder in folders for file in folder.rglob("*") if file.is_file()}

    async def download(self, url: str, sample: Sample, fields: Mapping[str, str] | None = None, *, of: int = 1) -> _Download:
        """A download, hashed on the way, of as many at once. httpx.HTTPError if it does not come to its end."""
        digest, count, began, first = hashlib.sha256(), 0, time.monotonic(), 0.0
        async with self.client.stream("GET", url, headers=fields) as response:
            async for chunk in response.aiter_raw():
                first = first or time.monotonic() - began
                digest.update(chunk)
                count += len(chunk)
                self.story.under_way(f"{_mb(count)} of {_mb(len(sample.sends))}" + (f", {of} clients" if of > 1 else ""))
        seconds = time.monotonic() - began
        return _Download(response.status_code, count, digest.hexdigest(), seconds, first, response.headers.get("etag"))


@asynccontextmanager
async def _stage(samples: _Samples, story: "_Story") -> AsyncIterator[_Stage]:
    """Origin, mirror and client, from start to stop; nothing of them is left."""
    with tempfile.TemporaryDirectory(prefix="dataset-mirror-demo-") as name:
        folder = Path(name)
        async with SlowOrigin((samples.first, samples.second, samples.bad)) as origin:
            (folder / "mirror.toml").write_text(_configuration(samples, origin.url), encoding="utf-8")
            story.under_way("starting the mirror")
            async with _mirror(folder) as url, httpx.AsyncClient(trust_env=False, timeout=10) as client:
                yield _Stage(samples, origin, url, DataFolder(folder / "data"), client, story)


def _configuration(samples: _Samples, origin_url: str) -> str:
    """A mirror.toml: what an operator would write for an origin of his own."""
    lines = ['host = "127.0.0.1"', "port = 0", "presets = []", "grace = 1", "min_free = 0"]
    lines += [f'upstreams = {{ "{HOST}" = ["{origin_url}"] }}', "[[origins]]", f'url = "https://{HOST}"', 'paths = ["/"]']
    for sample in (samples.first, samples.second, samples.bad):
        lines += ["[[archives]]", f'url = "https://{HOST}/{sample.name}"', f'sha256 = "{sample.sha256}"']
    return "\n".join(lines) + "\n"


@asynccontextmanager
async def _mirror(folder: Path) -> AsyncIterator[str]:
    """A `dataset-mirror serve` of its own process, and its URL. Settings and proxies of the user do not reach it."""
    given = ("serve", "--config", str(folder / "mirror.toml"), "--data", str(folder / "data"))
    with (folder / "mirror.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", "-m", "app.cli", *given),  # -P: a folder `app` where the user stands is not ours
            env=_environment(),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=log,
            start_new_session=True,  # Ctrl-C reaches only us; we stop it in order
        )
    try:
        yield await _url(process, folder)
    finally:
        await _stop(process)


def _environment() -> dict[str, str]:
    return {
        name: value
        for name, value in os.environ.items()
        if not name.upper().startswith("DATASET_MIRROR_") and not name.lower().endswith("_proxy")
    }


async def _url(process: asyncio.subprocess.Process, folder: Path) -> str:
    assert process.stdout is not None
    try:
        async with asyncio.timeout(START_SECONDS):
            greeted = await process.stdout.readline()
    except TimeoutError:
        greeted = b""
    url = server_of(DataFolder(folder / "data")) if greeted else None
    if url is None:
        said = (folder / "mirror.log").read_text(encoding="utf-8", errors="replace").strip() or f"no word in {START_SECONDS:.0f} s"
        raise DemoFailed(f"The demo's mirror did not start: {said.splitlines()[-1]}", "Try: dataset-mirror serve")
    return url


async def _stop(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.terminate()
    try:
        async with asyncio.timeout(STOP_SECONDS):
            await process.communicate()
    except TimeoutError:
        process.kill()
        await process.communicate()


# What a person sees


class _Story:
    """Lines on standard output as things happen, or one JSON object at the end. What is under way is shown on a terminal only."""

    def __init__(self, as_json: bool) -> None:
        self._as_json = as_json
        self._live = sys.stderr.isatty()
        self._drawn_at, self._width = 0.0, 0

    def say(self, line: str) -> None:
        self.clear()
        if not self._as_json:
            click.echo(line)

    def complain(self, *lines: str) -> None:
        """On standard error, whatever the format."""
        self.clear()
        click.echo("\n".join(lines), err=True)

    def end(self, figures: Figures) -> None:
        self.clear()
        if self._as_json:
            click.echo(json.dumps(figures, indent=2))
        else:
            click.echo(END if figures["held"] else "\nNot all of it holds on this machine. If it stays so, report this as a bug.")

    def under_way(self, text: str) -> None:
        """Draws over the same line, at most 20 times a second."""
        if not self._live or time.monotonic() - self._drawn_at < 0.05:
            return
        text = f"  ... {text}"[: shutil.get_terminal_size().columns - 1]
        click.echo("\r" + text.ljust(self._width), err=True, nl=False)
        self._drawn_at, self._width = time.monotonic(), len(text)

    def clear(self) -> None:
        if self._width:
            click.echo("\r" + " " * self._width + "\r", err=True, nl=False)
            self._drawn_at, self._width = 0.0, 0
