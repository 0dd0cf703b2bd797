"""Origins that ask back by a page before they send a file, such as Google Drive: the page is followed like a redirect, never kept."""

from contextlib import suppress
from html.parser import HTMLParser
from urllib.parse import parse_qsl, urlencode, urlsplit

from dataset_mirror.errors import NotAnArchive, OriginBusy, OriginSaysNo
from dataset_mirror.origins.confirm import Confirm

LONGEST_PAGE = 512 * 1024
"""Bytes of a page that are looked at."""
BUSY_SECONDS = 3600
"""When to ask again; Google counts by the day."""


def is_page(status: int, content_type: str | None, disposition: str | None) -> bool:
    """Whether an answer is a page to be shown, rather than a file to be saved (RFC 6266 4.2)."""
    kind = (content_type or "").partition(";")[0].strip().lower()
    return status == 200 and kind == "text/html" and not (disposition or "").lstrip().lower().startswith("attachment")


def way_on(text: str, confirm: Confirm, url: str, *, again: bool) -> str:
    """The URL by which a page in the place of the file at `url` goes on. `again`: that was followed already.

    OriginBusy or NotAnArchive if it is another page.
    """
    page = _Page(confirm.by)
    with suppress(AssertionError):  # an odd declaration ends the page
        page.feed(text)
    if said := next((busy for busy in confirm.busy if busy in text), None):
        raise OriginBusy(
            f"The origin refuses {url} for now, by a page that says: {said}.",
            "Ask again tomorrow, or download it by hand and run: dataset-mirror adopt FILE",
            headers={"Retry-After": str(BUSY_SECONDS)},
        )
    if page.target and not again:
        return page.target
    title = " ".join(page.title.split())[:200]
    raise NotAnArchive(
        f"The origin sends a web page in the place of {url}{f', “{title}”' if title else ''}.",
        "Open it in a browser: the file may not be shared with everybody. What you download there: dataset-mirror adopt FILE",
    )


def check_signed_in(location: str, confirm: Confirm, url: str) -> None:
    """OriginSaysNo if a redirect leads to where people sign in."""
    try:
        host = urlsplit(location).hostname
    except ValueError:  # no URL, as whoever follows it says
        return
    if host in confirm.sign_in:
        raise OriginSaysNo(
            403, f"The origin answers for {url} by {host}: it wants a sign-in.", "Share the file with everybody who has the link."
        )


class _Page(HTMLParser):
    """Finds the first form or link that has one of the given ids, and the title."""

    def __init__(self, ids: tuple[str, ...]) -> None:
        super().__init__()
        self.target = self.title = ""
        self._ids, self._inside, self._action = ids, "", ""
        self._fields: dict[str, str] = {}

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "title":
            self._inside = tag
        elif self._inside == "form" and tag == "input" and given.get("type", "").lower() == "hidden" and "name" in given:
            self._fields[given["name"]] = given.get("value", "")
        elif not self.target and given.get("id") in self._ids:
            if tag == "form":
                self._inside, self._action = tag, given.get("action", "")
            else:
                self.target = given.get("href", "")

    def handle_data(self, data: str) -> None:
        if self._inside == "title":
            self.title += data

    def handle_endtag(self, tag: str) -> None:
        if tag == "form" and self._inside == tag:
            action, _, query = self._action.partition("?")
            self.target = f"{action}?{urlencode(dict(parse_qsl(query, keep_blank_values=True)) | self._fields)}"
        if tag == self._inside:
            self._inside = ""
