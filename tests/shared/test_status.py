"""What people see of several mirrors, from any of them."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect
from prometheus_client.parser import text_string_to_metric_families

from tests.image.test_observe import SHARED
from tests.origin import Origin, body
from tests.serving import Mirror
from tests.shared.cluster import Cluster, fresh_bucket, fresh_database, kept
from tests.status.browser import Watched, needs_browser, started
from tests.status.html import check_accessible, loaded, read
from tests.status.pages.test_in_a_browser import PHONE
from tests.waiting import until


def test_all_mirrors(cluster: Cluster) -> None:
    """Each tells of all; one that was killed is there, and does not live; one that was stopped has left."""
    cluster.origin.add("/sets/a.bin", body(100_000))
    first, second, third = (cluster.start() for _ in range(3))
    first.archive("/sets/a.bin")
    until(kept(cluster), "the bucket has it")
    second.kill()
    third.stop()
    shared = first.status["shared"]
    assert shared["joined"]
    assert shared["alone_since"] is None
    assert (shared["outbox"], shared["leases"], shared["uploaded"]) == (0, 0, 100_000)
    assert sorted((mirror["url"] == first.url, mirror["alive"]) for mirror in shared["mirrors"]) == [(False, False), (True, True)]
    said = first.get("/metrics").body.decode()
    found = {
        family.name + ("_total" if family.type == "counter" else ""): (
            family.type,
            tuple(family.samples[0].labels),
            family.documentation,
        )
        for family in text_string_to_metric_families(said)
        if family.name.startswith("dataset_mirror_shared_")
    }
    assert found == SHARED
    assert 'dataset_mirror_shared_mirrors{state="alive"} 1.0' in said
    assert 'dataset_mirror_shared_mirrors{state="silent"} 1.0' in said


def test_one_that_was_started_again(cluster: Cluster) -> None:
    """A mirror that was killed and started again at its URL is told of once, and lives."""
    first, second = cluster.start(), cluster.start(advertise_url="http://second.example:8080")
    second.kill()
    cluster.start(advertise_url="http://second.example:8080")
    told = [(mirror["url"], mirror["alive"]) for mirror in first.status["shared"]["mirrors"]]
    assert sorted(told) == sorted([(first.url, True), ("http://second.example:8080", True)])


@pytest.fixture(scope="module")
def cluster_of_pages(shared_origin: Origin, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Mirrors for the tests of the page."""
    with Cluster(shared_origin, tmp_path_factory.mktemp("mirrors"), fresh_database(), fresh_bucket()) as made:
        yield made


@pytest.fixture(scope="module")
def three(cluster_of_pages: Cluster) -> list[Mirror]:
    """Two mirrors, and one that was killed."""
    mirrors = [cluster_of_pages.start() for _ in range(3)]
    mirrors[2].kill()
    return mirrors


def test_the_page(cluster_of_pages: Cluster, three: list[Mirror]) -> None:
    """Any of them shows all: who lives, who is silent, and who follows whom; it is accessible, and the overview leads there."""
    first, second, _ = three
    cluster_of_pages.origin.add("/sets/a.bin", body(3_000_000), rate=1_000_000)
    with ThreadPoolExecutor() as clients:
        answers = [clients.submit(first.archive, "/sets/a.bin")]
        until(lambda: cluster_of_pages.rows("SELECT holder FROM leases"), "the first one has the lease")
        answers.append(clients.submit(second.archive, "/sets/a.bin"))
        follows = f"the mirror {first.url.removeprefix('http://')}, which it follows"
        until(lambda: follows in _text(first), "it is said who follows whom")
        said = _text(second)
        assert all(answer.result().body == body(3_000_000) for answer in answers)
    for part in (follows, "3 mirrors share", "2 are alive", "no sign of life"):
        assert part in said
    assert said.count("this one") == 1
    assert "2 of 3 mirrors are alive" in _text(first, "/")
    assert [link for link in read(first.get("/").body).all("a") if link.attributes["href"] == "/mirrors"]


def test_the_page_of_one_that_is_alone(cluster_of_pages: Cluster) -> None:
    """Without the database it says so, and why."""
    alone = cluster_of_pages.start(shared="postgresql://mirror@127.0.0.1:9/mirrors")
    said = _text(alone)
    assert "The shared database does not answer" in said
    assert "dataset-mirror doctor" in said
    assert "goes on alone" in _text(alone, "/")


@needs_browser
def test_the_page_in_a_browser(three: list[Mirror]) -> None:
    """axe-core finds nothing, it is as narrow as a phone, loads nothing from elsewhere, and is whole without scripts."""
    with started() as browser:
        window = Watched(browser.new_context(viewport=PHONE), three[0].url)
        page = window.goto("/mirrors")
        assert Axe().run(page, options={"resultTypes": ["violations"]}).response["violations"] == []
        assert not page.evaluate("document.documentElement.scrollWidth > innerWidth")
        assert window.elsewhere + window.complaints == []
        plain = Watched(browser.new_context(java_script_enabled=False), three[0].url).goto("/")
        plain.get_by_role("link", name="All mirrors, and who follows whom").click()
        expect(plain.get_by_role("table", name="Mirrors").locator("tbody tr")).to_have_count(3)


def _text(mirror: Mirror, path: str = "/mirrors") -> str:
    """What a page says, which must be accessible."""
    page = read(mirror.get(path, fields={"Accept": "text/html"}).body)
    check_accessible(page)
    assert all(name.startswith("/static/") for name in loaded(page))
    return " ".join(page.one("main").text.replace("\N{NO-BREAK SPACE}", " ").split())
