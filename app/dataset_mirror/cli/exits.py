"""What each command's exit status means, as its help says it."""

_DONE, _USAGE = "0 done", "2 wrong usage"
_NOT_ALL = "1 not all of it, or an error"
_ONE = {
    "serve": "1 it could not start: the port or the data folder is in use",
    "explain": "1 a refusal",
    "check": "1 something is missing, or cannot be told",
    "verify": "1 an archive is still not good in the end",
    "gc": "1 a limit is still exceeded",
    "doctor": "1 a check failed",
    "fetch": "1 an archive did not arrive",
    "export": "1 something that was named is not in the bundle, complete",
    "run": "else that of the program; 126 it cannot be run, 127 it was not found",
}
_INTERRUPTED = "130 interrupted by Ctrl-C"
_ENDED_BY_HAND = ("serve", "status", "top", "demo")
"""Ctrl-C is how these end."""


def exits_of(verb: str) -> str:
    """The sentence for a command's help."""
    if verb == "run":
        return f"Exit status: {_ONE[verb]}; {_USAGE}, or no mirror."
    parts = [_DONE, _ONE.get(verb, _NOT_ALL), _USAGE]
    parts += [] if verb in _ENDED_BY_HAND else [_INTERRUPTED]
    return f"Exit status: {'; '.join(parts)}."
