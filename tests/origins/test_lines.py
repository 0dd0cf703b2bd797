"""Where in a TOML file something stands."""

import pytest

from dataset_mirror.origins.lines import line_of

TEXT = """port = 1

[[origins]]
url = "https://a.example.org"
paths = [
  "/a/",
]

[[origins]]
url = "https://b.example.org"
[[origins.rules]]
match = "/a/*"
[[origins.rules]]
match = "/b/*"
freshness = "soon"

[[origins]]
"url" = "https://c.example.org"
[[origins.rules]]
match = "/c/*"

[upstreams]
"a.example.org" = ["http://b"]
"""


@pytest.mark.parametrize(
    ("way", "line"),
    [
        pytest.param(("port",), 1, id="a key"),
        pytest.param(("origins", 0), 3, id="a table of a list"),
        pytest.param(("origins", 0, "paths", 0), 5, id="inside a list: the key"),
        pytest.param(("origins", 1), 9, id="the second"),
        pytest.param(("origins", 1, "rules", 1, "freshness"), 15, id="a list in a list"),
        pytest.param(("origins", 1, "rules", 1, "store"), 13, id="a missing key: its table"),
        pytest.param(("origins", 2, "rules", 0, "match"), 20, id="counted from one again in the next table"),
        pytest.param(("origins", 2, "url"), 18, id="a quoted key"),
        pytest.param(("upstreams", "a.example.org", 0), 23, id="a quoted key with dots"),
        pytest.param(("archives", 0), None, id="nowhere"),
    ],
)
def test_the_line(way: tuple[int | str, ...], line: int | None) -> None:
    """The nearest line to a place in the file is found, from the file's text alone."""
    assert line_of(TEXT, way) == line
