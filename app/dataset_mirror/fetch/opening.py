"""Before the first byte: asking until the origin answers with the archive, or saying why it does not."""

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from dataset_mirror.errors import FillFailed, Loop, MirrorError, NotAnArchive, OriginBusy, OriginSaysNo, OriginUnreachable
from dataset_mirror.fetch.reply import Broken, ProxyRefuses, Reply
from dataset_mirror.fetch.retry import LONGEST_WAIT, Backoff, Patience, retry_after
from dataset_mirror.fetch.source import Source
from dataset_mirror.rules.fields import Fields, kept
from dataset_mirror.rules.secrets import BLANK, without_secrets

TRIES, SECONDS = 3, 15.0
ACCEPTED_WAITS = (2.0, 5.0, 10.0)
"""Seconds before asking again after 202: some origins prepare a file first."""
QUOTED = 2048
"""Bytes of an origin's refusal that are quoted."""
PROXY_HINT = "Write them into `upstream_proxy`, as in http://user:password@proxy.lab:3128. NTLM is not supported: put px in between."
_TELLING = frozenset(["x-repo-commit"])
PASSED_ON = (401, 403, 404, 410, 412, 451)


@dataclass(frozen=True, slots=True)
class _Again:
    """Worth another try: after how long the upstream asks to wait, and the error if it was the last."""

    error: MirrorError
    asked: float | None = None


async def first_reply(source: Source, conditions: Mapping[str, str] | None = None, *, first: str = "") -> Reply:
    """The source's complete 200, its body unread: after up to three tries in 15 s. Raises the error that clients get.

    The time is that of all tries: names, connections, TLS and heads, whatever the number of addresses and upstreams. Only if
    silence may last longer (`idle_timeout`), a connection that is silent for so long may have it, but no try begins after 15 s.

    With `conditions` it may be a 304 as well (If-None-Match …), or a 206 or 416 (Range). The place `first` is asked first.
    """
    backoff, accepted, patience = Backoff(TRIES, SECONDS), 0, Patience.of(SECONDS)
    while True:
        outcome = await _once(source, conditions or {}, first, patience)
        if isinstance(outcome, Reply):
            return outcome
        if isinstance(outcome.error, NotAnArchive):
            wait = ACCEPTED_WAITS[accepted] if accepted < len(ACCEPTED_WAITS) else None
            accepted += 1
        else:
            wait = backoff.next_wait(outcome.asked)
        if wait is None:
            raise outcome.error
        if outcome.asked is not None or isinstance(outcome.error, NotAnArchive):
            patience = patience.longer(wait)
        await asyncio.sleep(wait)


async def _once(source: Source, conditions: Mapping[str, str], first: str, patience: Patience) -> Reply | _Again:
    try:
        reply = await source.ask(lambda _: conditions, first=first, patience=patience)
    except ProxyRefuses as error:
        raise OriginUnreachable(f"{source.url} cannot be fetched: {error}.", PROXY_HINT) from None
    except Broken as error:
        return _Again(_unreachable(source.url, error))
    if reply.status == 200 or reply.status in ((206, 416) if "range" in conditions else (304,) if conditions else ()):
        return reply
    try:
        return await judge(reply, source.url, quoted=not source.private)
    finally:
        await reply.close()


async def judge(reply: Reply, url: str, *, quoted: bool) -> _Again:
    """What an answer other than 200 means; raises if asking again would not help.

    `quoted`: whether its body may be shown. One to a request with credentials may repeat them.
    """
    status = reply.status
    if status in PASSED_ON:
        said = {"origin_said": await _quoted(reply)} if quoted else {}
        raise refusal(status, url, telling(reply), **said)
    if status == 508:
        raise Loop(f"The upstream of {url} reports a request loop.", "An upstream leads back here: check `upstreams`.")
    if status == 202:
        return _Again(NotAnArchive(f"The origin keeps answering 202 (not ready yet) for {url}.", "Ask again in a few minutes."))
    asked = retry_after(reply.field("retry-after"), reply.field("date"))
    if asked is not None and asked > LONGEST_WAIT:
        raise OriginBusy(
            f"The origin answers {status} for {url} and asks to wait {asked:.0f} s.",
            "Ask again then.",
            headers={"Retry-After": f"{asked:.0f}"},
        )
    error = FillFailed(f"The origin answers {status} for {url}.", "Ask again later; look at it with curl -v.")
    if status == 429 or status >= 500:
        return _Again(error, asked)
    raise error


def refusal(status: int, url: str, fields: Iterable[tuple[str, str]], **said: str) -> OriginSaysNo:
    """The origin's own refusal, with the fields of it that tell clients why."""
    return OriginSaysNo(status, f"The origin answers {status} for {url}.", _advice(status), headers=dict(fields), **said)


def telling(reply: Reply) -> Fields:
    """Fields of a refusal that programs read: which kind of error it is, in which words, and of which commit."""
    found = [field for field in kept([*reply.hop, *reply.fields]) if field[0].startswith("x-error-") or field[0] in _TELLING]
    return tuple((name, without_secrets(value).replace(BLANK, "...")) for name, value in found)


def _unreachable(url: str, error: Broken) -> MirrorError:
    what = f"{url} cannot be fetched: {error}."
    if error.reached:
        return FillFailed(what, "Ask again later.")
    return OriginUnreachable(what, "Check the mirror's network, `upstreams` and `upstream_proxy`; then ask again.")


def _advice(status: int) -> str:
    if status in (404, 410):
        return "Check the URL; this answer is remembered for a minute."
    return "The origin wants credentials, or refuses this mirror's address."


async def _quoted(reply: Reply) -> str:
    said = b""
    try:
        async for chunk in reply.bytes():
            said += chunk
            if len(said) >= QUOTED:
                break
    except Broken:
        pass  # what came is enough to quote
    return without_secrets(said[:QUOTED].decode("utf-8", "replace"))
