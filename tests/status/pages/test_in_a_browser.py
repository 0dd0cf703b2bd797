"""The pages in a browser, as people use them: live, searched, acted on, copied from, without scripts, and by a screen reader."""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, ViewportSize, expect

from tests.conftest import StartMirror
from tests.origin import Origin, body
from tests.serving import HOST, PATIENCE, URL, Mirror
from tests.status.browser import Watched, needs_browser, started
from tests.waiting import until

pytestmark = needs_browser
DATA = body(100_000, 3)
TOKEN = "a-long-secret"
PHONE = ViewportSize(width=360, height=740)
PAGES = (
    "/",
    "/datasets",
    "/datasets/keras/mnist",
    "/archives",
    f"/archives/{HOST}/sets/first.bin",
    f"/archives/{HOST}/sets/absent.bin",
    "/activity",
    "/origins",
    "/wanted",
    "/guide",
    "/docs",
    "/status/act?what=pin&name=keras/mnist",
    f"/status/folder?prefix={HOST}/",
    "/elsewhere.example.org/a/rather/long/path/to/an-archive-that-nobody-lists.tar.gz",
)
IN_THE_DARK = ("/", f"/archives/{HOST}/sets/first.bin", "/activity", "/status/act?what=rm&name=data.example.org/sets/first.bin")


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """One browser for all tests here."""
    with started() as browser:
        yield browser


@pytest.fixture(scope="module")
def shared(start_shared_mirror: StartMirror, shared_origin: Origin) -> Mirror:
    """A mirror with two archives and one failure."""
    mirror = start_shared_mirror(token=TOKEN)
    for name in ("first", "second"):
        shared_origin.add(f"/sets/{name}.bin", DATA)
        assert mirror.archive(f"/sets/{name}.bin").status == 200
    shared_origin.add("/sets/no.bin", DATA, status=403)
    mirror.archive("/sets/no.bin")
    return mirror


@pytest.fixture
def window(chromium: Browser, shared: Mirror) -> Iterator[Watched]:
    """A new window, whose pages load nothing from elsewhere and complain of nothing."""
    context = chromium.new_context(permissions=["clipboard-read", "clipboard-write"])
    window = Watched(context, shared.url)
    yield window
    context.close()
    assert window.elsewhere == []
    assert window.complaints == []


def copied(page: Page, label: str) -> str:
    """What is on the clipboard after a click on the button beside a command."""
    page.get_by_label(label).locator("..").get_by_role("button", name="Copy").click()
    expect(page.get_by_text("Copied.")).to_be_visible()
    return str(page.evaluate("navigator.clipboard.readText()"))


def run(command: str, folder: Path) -> str:
    done = subprocess.run(["bash", "-c", command], cwd=folder, capture_output=True, text=True, check=True, timeout=PATIENCE)
    return done.stdout


def test_a_download_is_live(window: Watched, shared: Mirror, shared_origin: Origin) -> None:
    """A download appears, grows and can be cancelled without loading the page again; what went wrong stands there with a hint."""
    shared_origin.add("/sets/slow.bin", body(3_000_000), stall_after=1_000_000)
    page = window.goto("/")
    expect(page.locator("#quiet")).to_be_visible()
    with socket.create_connection(("127.0.0.1", shared.port), PATIENCE) as client:
        client.sendall(f"GET /{HOST}/sets/slow.bin HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        card = page.locator("#fills li")
        expect(card).to_contain_text(f"{HOST}/sets/slow.bin")
        expect(card.locator(".text")).to_contain_text("of 3.0\N{NO-BREAK SPACE}MB")
        expect(card.locator(".text")).to_contain_text("1\N{NO-BREAK SPACE}client")
        assert int(card.locator("progress").get_attribute("max") or "") == 3_000_000
        expect(page).to_have_title(f"(1) Overview · dataset-mirror at 127.0.0.1:{shared.port}")
        expect(page.locator("#answers li")).to_contain_text("slow.bin")
        card.get_by_role("link", name="Cancel").click()
        page.get_by_label("Token").fill(TOKEN)
        page.get_by_role("dialog").get_by_role("button", name="Cancel").click()
        expect(page.get_by_role("dialog").locator(".done")).to_contain_text("Cancelled")
    page.get_by_role("dialog").get_by_role("button", name="Close").click()
    expect(page.locator("#quiet")).to_be_visible()
    expect(page.locator("#fills li")).to_have_count(0)
    problem = page.locator("#problems-part .problem", has_text="403")
    expect(problem).to_contain_text("What to do: The origin wants credentials")


def test_live_again(window: Watched) -> None:
    """A page whose stream of events was refused, as by a proxy while the mirror restarts, says that it is old, and is live again later."""
    page = window.page
    page.route("**/status/events", lambda route: route.fulfill(status=429), times=1)
    window.goto("/")
    expect(page.locator("body")).to_have_attribute("data-stale", "")
    expect(page.locator("#serving")).not_to_have_text("–", timeout=PATIENCE * 1000)
    expect(page.locator("body")).not_to_have_attribute("data-stale", "")


def test_more_than_is_shown(window: Watched, shared: Mirror, shared_origin: Origin) -> None:
    """The overview shows ten downloads at most, and how many there are, before and after it is live: nothing jumps."""
    names = [f"/sets/crowd-{number}.bin" for number in range(12)]
    for name in names:
        shared_origin.add(name, body(300_000), stall_after=1_000)
    with ExitStack() as clients:
        for name in names:
            client = clients.enter_context(socket.create_connection(("127.0.0.1", shared.port), PATIENCE))
            client.sendall(f"GET /{HOST}{name} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        until(lambda: len(shared.status["fills"]) == len(names))
        page = window.goto("/")
        expect(page.locator("#serving")).not_to_have_text("–")  # events have come
        expect(page.locator("#fills-count")).to_have_text("12")
        expect(page.locator("#fills li")).to_have_count(10)
        expect(page.locator("#fills-more")).to_have_text("2 more.")
        assert shared.api("cancel", archives=[URL + name for name in names]).status == 200


def test_search_as_one_types(window: Watched) -> None:
    """The list follows what is typed; its address can be sent to somebody."""
    page = window.goto("/archives")
    expect(page.locator("#results tbody tr")).to_have_count(2)
    page.get_by_label("Search").press_sequentially("SECOND")
    expect(page.locator("#results tbody tr")).to_have_count(1)
    assert "q=SECOND" in page.url
    assert page.get_by_label("Search").evaluate("element => element === document.activeElement")
    page.get_by_label("Search").fill("nowhere")
    expect(page.locator("#results")).to_contain_text("No archive matches")


def test_the_log(window: Watched, shared: Mirror) -> None:
    """What is logged appears in the open page, as far as it fits what was searched for; both searches of the page are in its address."""
    shared.archive("/sets/asked-once.bin")
    page = window.goto("/activity")
    page.get_by_role("search", name="Log").get_by_label("Search").fill("just-now.bin")
    expect(page.locator("#log-part")).to_contain_text("No line fits")
    page.get_by_role("search", name="Requests").get_by_label("Search").fill("asked-once")
    expect(page).to_have_url(re.compile(r"/activity\?(?=.*\bq=asked-once\b)(?=.*\bwords=just-now\.bin\b)"))
    shared.archive("/sets/just-now.bin", x_request_id="shown-beside-it")
    expect(page.locator("#log-part tbody tr")).to_have_count(1)
    expect(page.locator("#log-part tbody tr")).to_contain_text("shown-beside-it")
    expect(page.locator("#results tbody tr")).to_have_count(1)


def test_fetch_and_remove(window: Watched, shared: Mirror, shared_origin: Origin) -> None:
    """With the token, asked for once, an archive is fetched and removed by clicks; a wrong one is an error that says what to do."""
    shared_origin.add("/sets/third.bin", body(50_000, 5))
    page = window.goto(f"/archives/{HOST}/sets/third.bin")
    page.get_by_role("link", name="Fetch").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text(f"{HOST}/sets/third.bin")
    page.get_by_label("Token").fill("wrong-token")
    dialog.get_by_role("button", name="Fetch").click()
    expect(dialog.get_by_role("alert")).to_contain_text("the token is wrong")
    expect(dialog.locator(".hint")).to_contain_text("What to do:")
    page.get_by_label("Token").fill(TOKEN)
    page.keyboard.press("Enter")
    expect(dialog.locator(".done")).to_contain_text("1\N{NO-BREAK SPACE}fetched")
    page.keyboard.press("Escape")
    page.get_by_role("link", name="Remove").click()
    expect(page.get_by_label("Token")).to_be_hidden()
    expect(dialog).to_contain_text("50.0\N{NO-BREAK SPACE}kB")
    dialog.get_by_role("button", name="Remove").click()
    expect(dialog.locator(".done")).to_contain_text("Removed")
    dialog.get_by_role("button", name="Close").click()
    expect(page.get_by_role("link", name="Fetch")).to_be_visible()
    assert shared.get(f"/status/archive?url={URL}/sets/third.bin").status == 404


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_what_is_copied_works(window: Watched, tmp_path: Path) -> None:
    """The commands that are copied do what they say: download an archive, check it, and set up a shell."""
    page = window.goto(f"/archives/{HOST}/sets/first.bin")
    run(copied(page, "Download with curl"), tmp_path)
    assert (tmp_path / "first.bin").read_bytes() == DATA
    assert run(copied(page, "Check the download"), tmp_path) == "first.bin: OK\n"
    page = window.goto("/")
    line = page.get_by_label("Shell").locator("..").locator("pre").first
    expect(line).to_be_visible()
    page.locator(".way:visible button.copy").first.click()
    setup = str(page.evaluate("navigator.clipboard.readText()"))
    run(f"{setup} && curl -fsSo second.bin {URL}/sets/second.bin", tmp_path)
    assert (tmp_path / "second.bin").read_bytes() == DATA


def test_without_scripts(chromium: Browser, shared: Mirror) -> None:
    """A browser that runs no scripts shows, finds and does the same."""
    context = chromium.new_context(java_script_enabled=False)
    page = Watched(context, shared.url).goto("/archives")
    page.get_by_label("Search").fill("second")
    page.get_by_role("button", name="Show").click()
    expect(page.locator("#results tbody tr")).to_have_count(1)
    page.get_by_role("link", name="second.bin").click()
    page.get_by_role("link", name="Pin").click()
    page.get_by_label("Token").fill(TOKEN)
    page.get_by_role("button", name="Pin").click()
    expect(page.locator(".done")).to_contain_text("second.bin")
    page.goto(shared.url)
    page.get_by_text("curl", exact=True).click()
    expect(page.get_by_text("curl -fO", exact=False)).to_be_visible()
    expect(page.locator("button.copy:visible")).to_have_count(0)
    context.close()


def test_accessible(chromium: Browser, shared: Mirror) -> None:
    """axe-core finds nothing on any page, nor in the dark, and no page is wider than a phone."""
    light = chromium.new_context(viewport=PHONE, color_scheme="light")
    dark = chromium.new_context(viewport=PHONE, color_scheme="dark")
    found = _found(Watched(light, shared.url), PAGES, {})
    found += _found(Watched(dark, shared.url), IN_THE_DARK, {"runOnly": ["color-contrast"]})
    light.close()
    dark.close()
    assert found == []


def _found(window: Watched, paths: Sequence[str], options: dict[str, object]) -> list[str]:
    """What is wrong with these pages."""
    axe, found = Axe(), list[str]()
    for path in paths:
        page = window.goto(path)
        if path == "/docs":
            for operation in ("status-archives_status_archives_get", "change_the_mirror-fetch_api_fetch_post"):
                page.locator(f"#operations-{operation} .opblock-summary-control").click()
                page.locator(f"#operations-{operation} .responses-table").first.wait_for()
        violations = axe.run(page, options=options | {"resultTypes": ["violations"]}).response["violations"]
        found += [f"{path}: {one['id']}: {node['html']}" for one in violations for node in one["nodes"]]
        found += [f"{path} is too wide"] * page.evaluate("document.documentElement.scrollWidth > innerWidth")
    return found + window.elsewhere + window.complaints
