"""What is under way, and for whom: answers, and the clients since the start."""

from dataset_mirror.fetch.recent import UnderWay
from dataset_mirror.mirror import Mirror
from dataset_mirror.rules.anonymous import anonymised
from dataset_mirror.status.figures import AnswerStatus, ClientUse

MOST_ANSWERS = 1000


def answers_of(mirror: Mirror, *, whole: bool = False, most: int = MOST_ANSWERS) -> list[AnswerStatus]:
    """Answers under way, the longest first; `whole`: with their clients' addresses, else networks."""
    known = sorted(mirror.recent.under_way, key=lambda one: one.since)
    return [_answer(one, whole=whole) for one in known[:most]]


def _answer(one: UnderWay, *, whole: bool) -> AnswerStatus:
    return AnswerStatus(
        id=one.id,
        url=f"https://{one.archive}",
        client=_told(one.client, whole=whole),
        outcome=one.outcome,
        sent=one.sent,
        total=one.total,
        rate=one.rate,
        since=one.since,
    )


def _told(client: str, *, whole: bool) -> str:
    return client if whole else anonymised(client, "network")


def clients_of(mirror: Mirror, *, whole: bool = False) -> list[ClientUse]:
    """Who asked for archives since the start, the one that was sent most first; networks, unless `whole`."""
    found: dict[str, ClientUse] = {}
    for one in mirror.recent.clients.values():
        name = _told(one.address, whole=whole)
        use = found.setdefault(name, ClientUse(client=name, requests=0, hits=0, misses=0, failures=0, served=0, last=one.last))
        use.requests += one.requests
        use.hits += one.hits
        use.misses += one.misses
        use.failures += one.failures
        use.served += one.size
        use.last = max(use.last, one.last)
    return sorted(found.values(), key=lambda use: use.served, reverse=True)
