"""Reading pages as browsers and screen readers do."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from html.parser import HTMLParser

VOID = frozenset(["meta", "link", "br", "img", "input", "hr", "wbr"])


@dataclass
class Element:
    """A tag with its attributes and its children in order; text is a child, too."""

    tag: str
    attributes: dict[str, str | None] = field(default_factory=dict)
    children: list[Element | str] = field(default_factory=list)

    def all(self, tag: str = "") -> list[Element]:
        """Every element below this one, in order; of one tag if it is given. What is in a template is not in the page."""
        found = []
        for child in self.children:
            if isinstance(child, Element):
                found += [child] * (tag in ("", child.tag)) + ([] if child.tag == "template" else child.all(tag))
        return found

    def one(self, tag: str) -> Element:
        """The only element of this tag."""
        (found,) = self.all(tag)
        return found

    @property
    def text(self) -> str:
        """All text below, white space made single spaces."""
        return " ".join("".join(child if isinstance(child, str) else f" {child.text} " for child in self.children).split())


class _Reader(HTMLParser):
    """Refuses what browsers would have to repair."""

    def __init__(self) -> None:
        super().__init__()
        self.open = [Element("")]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len(attrs) == len(dict(attrs)), f"<{tag}> has an attribute twice: {attrs}"
        element = Element(tag, dict(attrs))
        self.open[-1].children.append(element)
        if tag not in VOID:
            self.open.append(element)

    def handle_endtag(self, tag: str) -> None:
        assert self.open[-1].tag == tag, f"</{tag}> closes <{self.open[-1].tag}>"
        self.open.pop()

    def handle_data(self, data: str) -> None:
        self.open[-1].children.append(data)


def read(document: bytes | str) -> Element:
    """The page as a tree; AssertionError if its tags do not nest."""
    text = document.decode() if isinstance(document, bytes) else document
    assert text.startswith("<!DOCTYPE html>\n")
    reader = _Reader()
    reader.feed(text)
    reader.close()
    assert len(reader.open) == 1, f"<{reader.open[-1].tag}> is not closed"
    return reader.open[0]


def loaded(page: Element) -> list[str]:
    """What a browser loads for it."""
    links = [element.attributes.get("href") for element in page.all("link")]
    return [name for name in (*links, *(element.attributes.get("src") for element in page.all())) if name]


def check_accessible(page: Element) -> None:
    """Language, title, one h1, no skipped level of headings, landmarks, names of what needs one, headers of tables."""
    assert page.one("html").attributes["lang"] == "en"
    assert page.one("title").text
    headings = [int(element.tag[1]) for element in page.all() if element.tag in ("h1", "h2", "h3", "h4")]
    assert headings[0] == 1
    assert headings.count(1) == 1
    assert all(below - above <= 1 for above, below in itertools.pairwise(headings))
    ids = [element.attributes["id"] for element in page.all() if "id" in element.attributes]
    assert len(ids) == len(set(ids))
    for landmark in ("header", "main", "footer"):
        page.one(landmark)
    navigations = [element.attributes.get("aria-label") for element in page.all("nav")]
    assert all(navigations)
    assert len(navigations) == len(set(navigations))
    for element in page.all():
        for reference in ("aria-labelledby", "aria-describedby"):
            assert element.attributes.get(reference, ids[0]) in ids
    assert all(section.attributes.get("aria-labelledby") for section in page.all("section"))
    assert all(bar.attributes.get("aria-label") for bar in page.all("progress"))
    assert all(link.text for link in page.all("a"))
    for table in page.all("table"):
        assert table.one("caption").text
        assert all(cell.attributes["scope"] in ("col", "row") for cell in table.all("th"))
