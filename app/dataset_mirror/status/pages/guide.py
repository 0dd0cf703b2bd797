"""`/guide`: the README, rendered: the project's description, which is installed with it. There is no second copy of its text."""

import asyncio
import re
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib.metadata import metadata
from itertools import pairwise

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse
from markdown_it import MarkdownIt
from markdown_it.token import Token
from markupsafe import Markup

from dataset_mirror.status.here import Here
from dataset_mirror.status.pages.frame import address_of, answer

EXAMPLE_ADDRESS = re.compile(r"http://(?:127\.0\.0\.1|mirror|MIRROR|mirror\.lab):8080")
"""How the README writes the address of a mirror."""
PROGRAM = ".venv/bin/dataset-mirror"
_DRESSED = {
    "<table>": '<div class="scroll" tabindex="0" role="group" aria-label="Table"><table><caption class="unseen">Table</caption>',
    "</table>": "</table></div>",
    "<pre>": '<div class="command"><pre tabindex="0">',
    "</pre>": '</pre><button type="button" class="copy" hidden>Copy</button></div>',
    "<th>": '<th scope="col">',
}
"""Tables scroll inside their box, and commands can be copied, as on all pages."""


@dataclass(frozen=True, slots=True)
class Heading:
    """A section: where it is in the page, and its title."""

    key: str
    title: str


router = APIRouter(include_in_schema=False)


@router.api_route("/guide", methods=["GET", "HEAD"])
async def guide(mirror: Here, request: Request) -> HTMLResponse:
    text, headings = await asyncio.to_thread(rendered, address_of(mirror, request))
    return await answer(mirror, request, "guide.html", text=text, headings=headings)


@lru_cache(maxsize=8)
def rendered(address: str) -> tuple[Markup, list[Heading]]:
    """The README as HTML, its commands for the mirror at that address; and its sections."""
    text = EXAMPLE_ADDRESS.sub(lambda _: address, _readme()).replace(PROGRAM, "dataset-mirror")
    parser = MarkdownIt("commonmark", {"html": False}).enable(["table"])
    tokens = parser.parse(text)
    headings = _headings(tokens)
    for token in tokens:
        for inner in token.children or ():
            _without_elsewhere(inner)
    text = parser.renderer.render(tokens, parser.options, {})
    for plain, dressed in _DRESSED.items():
        text = text.replace(plain, dressed)
    return Markup(text), headings  # markdown-it has escaped it, and HTML is off


@cache
def _readme() -> str:
    """The long description of what is installed, without its title."""
    text = str(metadata("dataset-mirror").json["description"])
    return text.partition("\n")[2] if text.startswith("# ") else text


def _headings(tokens: list[Token]) -> list[Heading]:
    """The sections, each with a place to be linked to; they stand below the page's own title."""
    found = []
    for opening, inline in pairwise(tokens):
        if opening.type == "heading_open" and opening.tag == "h2":
            key = re.sub(r"[^a-z0-9]+", "-", inline.content.lower()).strip("-")
            opening.attrSet("id", key)
            found.append(Heading(key, inline.content))
    return found


def _without_elsewhere(token: Token) -> None:
    """Links to files of the project lead nowhere here: their words stay. Pictures are left out."""
    if token.type == "link_open" and not str(token.attrGet("href")).startswith(("http:", "https:", "#")):
        token.attrs.pop("href")
    if token.type == "image":
        token.type, token.tag, token.content = "text", "", ""
