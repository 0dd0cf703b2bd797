"""The stage of the demo: a slow origin, a real mirror in a process of its own, and a client; nothing of them is left."""

import asyncio
import hashlib
import os
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from dataset_mirror.cli.demo.origin import Sample, SlowOrigin
from dataset_mirror.cli.demo.story import Story
from dataset_mirror.errors import MirrorError
from dataset_mirror.store.filling import server_of
from dataset_mirror.store.folder import DataFolder

HOST = "archives.example"
"""The origin's name; it exists nowhere (RFC 2606), so nothing can reach the internet by mistake."""
START_SECONDS, STOP_SECONDS = 30.0, 5.0


class DemoFailed(MirrorError):
    """The demo could not even begin."""


@dataclass(frozen=True, slots=True)
class Samples:
    first: Sample
    second: Sample
    bad: Sample


@dataclass(frozen=True, slots=True)
class Download:
    """One download as a client saw it; times in seconds, sizes in bytes."""

    status: int
    bytes: int
    sha256: str
    seconds: float
    first_byte: float
    etag: str | None

    def is_whole(self, sample: Sample) -> bool:
        return self.status == 200 and self.sha256 == sample.sha256


@dataclass(frozen=True, slots=True)
class Stage:
    """All that runs, and one client of it."""

    samples: Samples
    origin: SlowOrigin
    mirror: str
    """Its URL."""
    folder: DataFolder
    client: httpx.AsyncClient
    story: "Story"

    def url_of(self, sample: Sample) -> str:
        return f"{self.mirror}/{HOST}/{sample.name}"

    def log(self) -> str:
        """What the mirror wrote on its standard error."""
        return (self.folder.root.parent / "mirror.log").read_text(encoding="utf-8", errors="replace").strip()

    def kept(self) -> set[str]:
        """Names of all files that hold bytes of archives, whole or not."""
        folders = (self.folder.blobs, self.folder.partial)
        return {file.name for folder in folders for file in folder.rglob("*") if file.is_file()}

    async def download(self, url: str, sample: Sample, fields: Mapping[str, str] | None = None, *, of: int = 1) -> Download:
        """A download, hashed on the way, of as many at once. httpx.HTTPError if it does not come to its end."""
        digest, count, began, first = hashlib.sha256(), 0, time.monotonic(), 0.0
        async with self.client.stream("GET", url, headers=fields) as response:
            async for chunk in response.aiter_raw():
                first = first or time.monotonic() - began
                digest.update(chunk)
                count += len(chunk)
                self.story.under_way(f"{megabytes(count)} of {megabytes(len(sample.sends))}" + (f", {of} clients" if of > 1 else ""))
        seconds = time.monotonic() - began
        return Download(response.status_code, count, digest.hexdigest(), seconds, first, response.headers.get("etag"))


@asynccontextmanager
async def staged(samples: Samples, story: "Story") -> AsyncIterator[Stage]:
    """Origin, mirror and client, from start to stop; nothing of them is left."""
    with tempfile.TemporaryDirectory(prefix="dataset-mirror-demo-") as name:
        folder = Path(name)
        async with SlowOrigin((samples.first, samples.second, samples.bad)) as origin:
            (folder / "mirror.toml").write_text(_configuration(samples, origin.url), encoding="utf-8")
            story.under_way("starting the mirror")
            async with _mirror(folder) as url, httpx.AsyncClient(trust_env=False, timeout=10) as client:
                yield Stage(samples, origin, url, DataFolder(folder / "data"), client, story)


def _configuration(samples: Samples, origin_url: str) -> str:
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
            *(sys.executable, "-P", "-m", "dataset_mirror.cli", *given),  # -P: a folder `app` where the user stands is not ours
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


def megabytes(count: int) -> str:
    return f"{count / 1e6:.1f} MB"
