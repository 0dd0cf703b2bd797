"""What must never be written down: tokens, credentials in URLs, and the values that sign them. One rule, for all ways out.

`without_secrets` is for text that people and programs read. `blurred` is for a query that is an archive's identity: each secret gives
place to a digest of it, so that it still tells archives apart, here and across an air gap, and nobody can read it.
"""

import hashlib
import re
from collections.abc import Collection
from re import Match
from urllib.parse import unquote_plus

BLANK = "…"
"""What stands in the place of a secret."""

_AUTHORITY = re.compile(r"(?i)(?<=[a-z0-9+.-])(?::|%3A)(?://|%2F%2F)")
"""What stands before the authority of a URL; of the scheme only its end, since what looks like one can be long."""
_AFTER_USER = re.compile(r"[\s/@\"'<>]")
_FIELD = re.compile(
    r"(?i)\b((?:proxy-)?authorization|x-(?:api-key|auth-token|amz-security-token))\b"
    r"(?!: bearer TOKEN\b)"  # which sentences of ours have: it is what to send
    r"(?P<between>['\"]?\s*[:=,]\s*b?)(?:'[^']*'|\"[^\"]*\"|[^\r\n,;)\]}]+)"
)
_COOKIE = re.compile(r"(?i)\b((?:set-)?cookie['\"]?\s*[:=,]\s*)[^\r\n}\])]+")
_SCHEME = re.compile(r"\b(?i:(bearer|basic|token)) +(?=[^\s\"']*[0-9=_]|[^\s\"']{20})[A-Za-z0-9._~+/=-]{6,}")
_KNOWN = re.compile(r"\b(?:hf_|gh[opsur]_|github_pat_|glpat-|xox[abprs]-|sk-|AKIA)[A-Za-z0-9_-]{8,}")
_PART = re.compile(r"(?<=[?&;])([^\s=&;?\"'<>]+)=([^\s&;\"'<>]+)")
_NAMES = re.compile(
    r"x-(?:amz|goog)-(?:signature|credential|security-token|signedheaders)|signature|sig|policy|key-pair-id|awsaccesskeyid|googleaccessid"
    r"|.*(?<!page)token|.*secret.*|.*passw(?:or)?d|pwd|pass|api[-_]?key|.*[-_]key|key|auth|authorization|jwt|code|hmac|hash_sig|private_link|session.*|skoid|sktid"
)
_PLACE = re.compile(r"\$?(?:next|continuation|cursor|sync|start|skip)[-_]?token")
"""Tokens that are places in a list, and no secrets; `pageToken` is one, too."""
_BLURRED = re.compile(r"~[0-9a-f]{16}")
_DIGITS = 16


def without_secrets(text: str, known: Collection[str] = ()) -> str:
    """The text with `…` for each secret: user and password of a URL, signing and secret values of a query, credentials of header
    fields, tokens of well-known forms, and the strings that are `known` to be secret.
    """
    for secret in known:
        text = text.replace(secret, BLANK)
    text = _without_users(text)
    text = _COOKIE.sub(rf"\1{BLANK}", text)
    text = _FIELD.sub(rf"\1\g<between>{BLANK}", text)
    text = _SCHEME.sub(rf"\1 {BLANK}", text)
    return _KNOWN.sub(BLANK, _PART.sub(_blanked, text))


def _without_users(text: str) -> str:
    """Blanks user and password of each URL, also of one that is percent-encoded, whose `@` is `%40`; in one pass."""
    kept, done, end = list[str](), 0, 0
    for before in _AUTHORITY.finditer(text):
        start = before.end()
        if start < done:
            continue  # what looks like a URL in a password
        if start >= end:
            found = _AFTER_USER.search(text, start)
            end = found.start() if found else len(text)
        stop = end if text[end : end + 1] == "@" else text.find("%40", start, end)
        if stop > start:
            kept += [text[done:start], BLANK]
            done = stop
    return "".join([*kept, text[done:]])


def blurred(query: str, authority: str, *, again: bool = False) -> str:
    """A query in which each secret value is `~` and 16 digits of a SHA-256; what is blurred already stays so, unless `again`.

    `again` is for what a client sends: whoever has only read a blurred query in a list does not have what it stands for.
    """
    if "=" not in query:
        return query
    return "&".join(_blurred(part, authority, again=again) for part in query.split("&"))


def has_blurred(query: str) -> bool:
    """Whether a secret of it was given away for its digest: no origin can be asked with it."""
    return "=~" in query and any(_BLURRED.fullmatch(value) and _is_secret(name, value) for name, _, value in _parts(query))


def _parts(query: str) -> list[tuple[str, str, str]]:
    return [part.partition("=") for part in query.split("&")]


def _blurred(part: str, authority: str, *, again: bool) -> str:
    name, equals, value = part.partition("=")
    if not value or not _is_secret(name, value) or (not again and _BLURRED.fullmatch(value)):
        return part
    digest = hashlib.sha256(f"{authority}?{name}={value}".encode()).hexdigest()
    return f"{name}{equals}~{digest[:_DIGITS]}"


def _is_secret(name: str, value: str) -> bool:
    """By its name; by its form; and if it is a URL that has one itself."""
    named, meant = unquote_plus(name).lower(), unquote_plus(value)
    if _NAMES.fullmatch(named) and not _PLACE.fullmatch(named):
        return True
    return _KNOWN.search(meant) is not None or (meant != value and without_secrets(meant) != meant)


def _blanked(part: Match[str]) -> str:
    """One field of a query; one whose value is a signed URL itself is blanked as a whole."""
    return f"{part[1]}={BLANK}" if _is_secret(part[1], part[2]) and not _BLURRED.fullmatch(part[2]) else part[0]
