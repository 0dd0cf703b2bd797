"""A real browser without a window: the system's Chromium, driven by Playwright or run once. It can reach no other host."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from tests.serving import PATIENCE

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
needs_browser = pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")

_QUIET = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
)


@contextmanager
def started() -> Iterator[Browser]:
    """The browser. What is expected of its pages may take as long as everything else."""
    expect.set_options(timeout=PATIENCE * 1000)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=_QUIET)
        yield browser
        browser.close()


def rendered(url: str, profile: Path, *options: str) -> str:
    """The page's document once its scripts have run."""
    once = ("--headless", f"--user-data-dir={profile}", "--virtual-time-budget=20000", *options, "--dump-dom", url)
    return subprocess.run([str(CHROMIUM), *_QUIET, *once], capture_output=True, text=True, check=True, timeout=6 * PATIENCE).stdout


class Watched:
    """A window whose pages may ask for nothing but what is at `url`, and have nothing to complain of."""

    def __init__(self, context: BrowserContext, url: str) -> None:
        self.page: Page = context.new_page()
        self.page.set_default_timeout(PATIENCE * 1000)
        self._url = url
        self.elsewhere: list[str] = []
        self.complaints: list[str] = []
        self.page.on("request", lambda request: self._look(request.url))
        self.page.on("console", lambda message: self._hear(message.type, message.text))
        self.page.on("pageerror", lambda error: self._hear("error", str(error)))

    def goto(self, path: str) -> Page:
        self.page.goto(self._url + path)
        return self.page

    def _look(self, url: str) -> None:
        if not url.startswith((self._url, "data:")):
            self.elsewhere.append(url)

    def _hear(self, kind: str, text: str) -> None:
        if kind in ("error", "warning") and "status of 4" not in text:  # a refusal is an answer
            self.complaints.append(text)
