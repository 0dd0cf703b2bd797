"""`demo`: what a mirror does, shown with the figures of this very run, without the internet.

A throwaway origin in this process, and a real `dataset-mirror serve` beside it, both on free ports and in a temporary folder.
Every claim is checked while it is shown.
"""

import asyncio
import errno
import hashlib
import signal
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import asdict

import click
import httpx

from dataset_mirror.cli.demo.origin import LATENCY, RATE, Sample, generated
from dataset_mirror.cli.demo.stage import DemoFailed, Download, Samples, Stage, megabytes, staged
from dataset_mirror.cli.demo.story import Figures, Shown, Story
from dataset_mirror.rules.counted import counted

CLIENTS = 20


@click.command(name="demo")
@click.option("--json", "as_json", is_flag=True, help="Print the figures as one JSON object.")
def command(as_json: bool) -> None:
    """See what a mirror does: some ten seconds, without the internet, without any setting.

    Starts a small origin that is slow on purpose and a real mirror before it, both on this machine and in a temporary folder,
    and shows: a miss, a hit, many clients at once, a range, a damaged origin, an origin that is gone. Exits with status 1 if a claim
    does not hold. Nothing is left behind; Ctrl-C ends it early.
    """
    story = Story(as_json)
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


async def _until_stopped(story: "Story") -> bool:
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


async def _shown(story: "Story") -> bool:
    """The whole demo: True if every claim holds."""
    began = time.monotonic()
    story.say("A mirror and a throwaway origin, both on this machine, without the internet.")
    story.say(f"The origin is slow on purpose: {LATENCY * 1e3:.0f} ms away, {RATE / 1e6:.0f} MB/s per connection.\n")
    samples = Samples(
        generated("digits.zip", 12_000_000), generated("faces.zip", 12_000_000), generated("bad.zip", 4_000_000, damaged=True)
    )
    async with staged(samples, story) as stage:
        shown = await _steps(stage)
        if any(step.failed for step in shown.values()):
            story.complain("The mirror said:", stage.log())
    failed = [f"{name}: {claim}" for name, step in shown.items() for claim in step.failed]
    steps = {name: {**step.figures, "held": not step.failed} for name, step in shown.items()}
    story.end({"held": not failed, "failed": failed, "seconds": time.monotonic() - began, **steps})
    return not failed


# The steps


async def _steps(stage: "Stage") -> dict[str, Shown]:
    stage.story.under_way("direct from the origin")
    direct = await stage.download(f"{stage.origin.url}/{stage.samples.first.name}", stage.samples.first)
    if not direct.is_whole(stage.samples.first):
        raise DemoFailed("The demo's own origin does not work.", "Report this as a bug.")
    steps: dict[str, Callable[[], Awaitable[Shown]]] = {
        "miss": lambda: _miss(stage, direct),
        "hit": lambda: _hit(stage, direct),
        "crowd": lambda: _crowd(stage, direct),
        "range": lambda: _range(stage),
        "damaged": lambda: _damaged(stage),
        "gone": lambda: _gone(stage),
    }
    shown = {"direct": Shown("", asdict(direct), {})}
    for number, (name, step) in enumerate(steps.items(), 1):
        stage.story.under_way(name)
        shown[name] = await _tried(step)
        stage.story.say(f"{number} {name:8}{shown[name].line}")
        for claim in shown[name].failed:
            stage.story.say(f"  DOES NOT HOLD: {claim}")
    return shown


async def _tried(step: Callable[[], Awaitable[Shown]]) -> Shown:
    try:
        return await step()
    except httpx.HTTPError as error:
        return Shown("failed", {}, {f"the mirror answers ({type(error).__name__}: {error})": False})


async def _miss(stage: "Stage", direct: Download) -> Shown:
    sample = stage.samples.first
    got = await stage.download(stage.url_of(sample), sample)
    line = f"{megabytes(got.bytes)} in {got.seconds:.2f} s, first byte after {got.first_byte * 1e3:.0f} ms"
    line += f" (direct: {direct.seconds:.2f} s, {direct.first_byte * 1e3:.0f} ms)"
    claims = {
        "the bytes are right": got.is_whole(sample),
        "the first byte does not wait for the last": got.first_byte < direct.seconds / 2,
        "a miss does not take much longer than the origin itself": got.seconds < 2 * direct.seconds + 2,
    }
    return Shown(line, asdict(got), claims)


async def _hit(stage: "Stage", direct: Download) -> Shown:
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
    return Shown(line, {**asdict(got), "times_faster": times}, claims)


async def _crowd(stage: "Stage", direct: Download) -> Shown:
    sample, began = stage.samples.second, time.monotonic()
    asking = (stage.download(stage.url_of(sample), sample, of=CLIENTS) for _ in range(CLIENTS))
    ended = await asyncio.gather(*asking, return_exceptions=True)
    seconds, got = time.monotonic() - began, [download for download in ended if isinstance(download, Download)]
    right = sum(download.is_whole(sample) for download in got)
    requests, upstream = stage.origin.requests[sample.name], stage.origin.sent[sample.name]
    line = f"{CLIENTS} clients at once, {seconds:.2f} s, {right} right; origin saw {requests} GET, {megabytes(upstream)}"
    claims = {
        f"all {CLIENTS} clients get the same, right bytes": right == CLIENTS,
        "the origin is asked once": requests == 1,
        "the bytes come from the origin once": upstream <= 1.02 * len(sample.sends),
        "nobody waits much longer than one client alone": seconds < 4 * direct.seconds + 2,
    }
    figures: Figures = {
        "clients": CLIENTS,
        "right": right,
        "seconds": seconds,
        "first_byte": max((download.first_byte for download in got), default=None),
    }
    figures |= {"origin_requests": requests, "origin_bytes": upstream, "served_bytes": sum(download.bytes for download in got)}
    return Shown(line, figures, claims)


async def _range(stage: "Stage") -> Shown:
    sample = stage.samples.first
    got = await stage.download(stage.url_of(sample), sample, {"range": "bytes=-1024"})
    claims = {"exactly the last 1,024 bytes come": (got.status, got.sha256) == (206, _sha256(sample.sends[-1024:]))}
    return Shown(f"the last {counted(got.bytes, 'byte')} alone: {got.seconds * 1e3:.0f} ms", asdict(got), claims)


async def _damaged(stage: "Stage") -> Shown:
    sample, kept = stage.samples.bad, stage.kept()
    seen = await _seen_by_client(stage, sample)
    status = (await stage.client.get(f"{stage.mirror}/status")).raise_for_status().json()
    said = " ".join(failure["detail"] for failure in status["failures"] if failure["url"].endswith(sample.name))
    claims = {
        "the client sees an error, never a wrong file": seen is not None,
        "the mirror names both digests": sample.sha256 in said and sample.sent_sha256 in said,
        "nothing is kept": stage.kept() == kept and status["archives"] == len(kept),
    }
    line = f"refused: origin sent {sample.sent_sha256[:8]}, catalog has {sample.sha256[:8]}; nothing kept"
    return Shown(line, {"client_saw": seen, "expected": sample.sha256, "got": sample.sent_sha256, "mirror_said": said}, claims)


async def _seen_by_client(stage: "Stage", sample: Sample) -> str | None:
    """The error that a client gets, or None if the download looks good to it."""
    try:
        got = await stage.download(stage.url_of(sample), sample)
    except httpx.HTTPError as error:
        return f"{type(error).__name__}: {error}".removesuffix(": ")
    return f"HTTP {got.status}" if got.status >= 400 else None


async def _gone(stage: "Stage") -> Shown:
    await stage.origin.stop()
    samples = [stage.samples.first, stage.samples.second]
    got = [await stage.download(stage.url_of(sample), sample) for sample in samples]
    seconds = sum(download.seconds for download in got)
    claims = {
        "the origin is gone": await _refuses(stage.client, stage.origin.url),
        "what was fetched is still served, byte for byte": all(map(Download.is_whole, got, samples)),
    }
    line = f"origin stopped: both archives still served, {seconds:.2f} s, byte for byte"
    return Shown(line, {"archives": len(got), "bytes": sum(download.bytes for download in got), "seconds": seconds}, claims)


async def _refuses(client: httpx.AsyncClient, url: str) -> bool:
    try:
        await client.get(url)
    except httpx.ConnectError:
        return True
    return False


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
