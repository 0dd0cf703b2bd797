"""Link fields that are led back to the address that was asked."""

import time

import pytest

from dataset_mirror.rules.links import following, led_back


def place(url: str) -> str | None:
    """A mirror of one host."""
    return url.replace("https://hub.example", "http://mirror:8080/hub.example") if url.startswith("https://hub.example/") else None


@pytest.mark.parametrize(
    ("value", "led"),
    [
        pytest.param('<https://hub.example/a?b=1&c>; rel="next"', '<http://mirror:8080/hub.example/a?b=1&c>; rel="next"', id="next"),
        pytest.param("<https://hub.example/a>;rel=next", "<http://mirror:8080/hub.example/a>;rel=next", id="without quotes"),
        pytest.param('<https://hub.example/a>; REL="Next"', '<http://mirror:8080/hub.example/a>; REL="Next"', id="capitals"),
        pytest.param('<https://hub.example/a>; rel="last next"', '<http://mirror:8080/hub.example/a>; rel="last next"', id="two relations"),
        pytest.param(
            '<https://hub.example/a>; title="x, <y>"; rel="prev", <https://hub.example/b,c>; rel="last"',
            '<http://mirror:8080/hub.example/a>; title="x, <y>"; rel="prev", <http://mirror:8080/hub.example/b,c>; rel="last"',
            id="two links, commas in them",
        ),
        pytest.param('<https://hub.example/t>; rel="xet-auth"', None, id="no page"),
        pytest.param('<https://hub.example/t>; title="rel=next"; rel="up"', None, id="a relation's name in a title"),
        pytest.param('<https://other.example/a>; rel="next"', None, id="another host"),
        pytest.param('</a?page=2>; rel="next"', None, id="relative"),
        pytest.param('https://hub.example/a; rel="next"', None, id="no link"),
        pytest.param('<https://hub.example/a>; rel="next", oops', None, id="half of it is no link"),
        pytest.param('<https://hub.example/a>; rel="next", <', None, id="half a link"),
        pytest.param("", None, id="empty"),
    ],
)
def test_leading_back(value: str, led: str | None) -> None:
    """Absolute URLs of pages lead to the mirror; all else stays as it is."""
    assert led_back(value, place) == (value if led is None else led)


@pytest.mark.timed
@pytest.mark.parametrize("link", ['<>"', '<>;"', '<>; rel="', "<>,"])
def test_long_fields(link: str) -> None:
    """The longest field that an origin may send is read in a moment, whatever it is made of; here it is eight times as long."""
    value = link[:-1] * 24_000 + link[-1]
    began = time.process_time()
    led_back(value, place)
    following(value)
    assert time.process_time() - began < 5  # minutes if the time grew with the square of the length
