"""What must never be written down: tokens, credentials in URLs, and the values that sign them."""

import re
from collections.abc import Collection
from re import Match
from urllib.parse import unquote_plus

BLANK = "…"
"""What stands in the place of a secret."""

_USER = re.compile(r"(?i)\b([a-z][a-z0-9+.-]*://)[^\s/@\"'<>]+@")
_FIELD = re.compile(
    r"(?i)\b((?:proxy-)?authorization|x-(?:api-key|auth-token|amz-security-token))\b"
    r"(?P<between>['\"]?\s*[:=,]\s*b?)(?:'[^']*'|\"[^\"]*\"|[^\r\n,;)\]}]+)"
)
_COOKIE = re.compile(r"(?i)\b((?:set-)?cookie['\"]?\s*[:=,]\s*)[^\r\n}\])]+")
_SCHEME = re.compile(r"\b(?i:(bearer|basic|token)) +(?=[^\s\"']*[0-9=_]|[^\s\"']{20})[A-Za-z0-9._~+/=-]{6,}")
_KNOWN = re.compile(r"\b(?:hf_|gh[opsur]_|github_pat_|glpat-|xox[abprs]-|sk-|AKIA)[A-Za-z0-9_-]{8,}")
_PART = re.compile(r"(?<=[?&;])([^\s=&;?\"'<>]+)=([^\s&;\"'<>]+)")
_NAMES = re.compile(
    r"x-(?:amz|goog)-(?:signature|credential|security-token|signedheaders)|signature|sig|policy|key-pair-id|awsaccesskeyid|googleaccessid"
    r"|.*token|.*secret.*|.*passw(?:or)?d|pwd|pass|api[-_]?key|.*[-_]key|key|auth|authorization|jwt|code|hmac|hash_sig|session.*|skoid|sktid"
)


def without_secrets(text: str, known: Collection[str] = ()) -> str:
    """The text with `…` for each secret: user and password of a URL, signing and secret values of a query, credentials of header
    fields, tokens of well-known forms, and the strings that are `known` to be secret.
    """
    for secret in known:
        text = text.replace(secret, BLANK)
    text = _USER.sub(rf"\1{BLANK}@", text)
    text = _COOKIE.sub(rf"\1{BLANK}", text)
    text = _FIELD.sub(rf"\1\g<between>{BLANK}", text)
    text = _SCHEME.sub(rf"\1 {BLANK}", text)
    return _KNOWN.sub(BLANK, _PART.sub(_blanked, text))


def _blanked(part: Match[str]) -> str:
    """One field of a query; one whose value is a signed URL itself is blanked as a whole."""
    value = unquote_plus(part[2])
    if _NAMES.fullmatch(unquote_plus(part[1]).lower()) or (value != part[2] and without_secrets(value) != value):
        return f"{part[1]}={BLANK}"
    return part[0]
