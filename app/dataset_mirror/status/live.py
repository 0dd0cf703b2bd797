"""What is under way, and for whom: answers, and the clients since the start."""

from dataset_mirror.fetch.recent import UnderWay
from dataset_mirror.mirror import Mirror
from dataset_mirror.rules.anonymous import anonymised
from dataset_mirror.status.figures import AnswerStatus
from dataset_mirror.status.models import ClientStatus

MOST_ANSWERS = 1000


def answers_of(mirror: Mirror, *, whole: bool = False, most: int = MOST_ANSWERS) -> list[AnswerStatus]:
    """Answers under way, the longest first; `whole`: with their clients' addresses, else networks."""
    known = sorted(mirror.recent.under_way, key=lambda one: one.since)
    return [_answer(mirror, one, whole=whole) for one in known[:most]]


def _answer(mirror: Mirror, one: UnderWay, *, whole: bool) -> AnswerStatus:
    return AnswerStatus(
        id=one.id,
        url=f"https://{one.archive}",
        client=told(mirror, one.client, whole=whole),
        outcome=one.outcome,
        sent=one.sent,
        total=one.total,
        rate=one.rate,
        since=one.since,
    )


def clients_of(mirror: Mirror, *, whole: bool = False) -> list[ClientStatus]:
    """Who asked for archives since the start, the one that was sent most first: addresses if `whole`, else networks."""
    found: dict[str, ClientStatus] = {}
    for one in mirror.recent.clients.values():
        name = told(mirror, one.address, whole=whole)
        use = found.setdefault(name, ClientStatus(address=name, requests=0, hits=0, misses=0, size=0, last=one.last))
        use.requests += one.requests
        use.hits += one.hits
        use.misses += one.misses
        use.failures += one.failures
        use.size += one.size
        use.last = max(use.last, one.last)
    return sorted(found.values(), key=lambda use: use.size, reverse=True)


def told(mirror: Mirror, client: str, *, whole: bool) -> str:
    """A client, as it may be told: what was noted before a reload, too."""
    how = mirror.settings.anonymise_clients
    return anonymised(client, how if whole or how == "all" else "network")
