"""Sentences of errors and hints, as pages show them: code in its own type, lines for mirror.toml one below the other."""

import re
from html import escape

_BLOCK = re.compile(r'(?P<words>.*?)(?P<name>\[\[\w+\]\])(?P<keys>(?: \w+ = (?:"[^"]*"|\[[^]]*\]|\d+))+)')
_CODE = re.compile(r"`([^`\n]+)`")
_KEY = re.compile(r" (?=\w+ = )")


def quoted(word: str) -> str:
    """A word of a command that people copy, always in quotes: whatever a client asked for, a shell takes it for one word."""
    return "'" + word.replace("'", "'\"'\"'") + "'"


def coded(text: str) -> str:
    """A sentence as HTML, escaped, in which what stands between backticks is code."""
    return _CODE.sub(r"<code>\1</code>", escape(text))


def with_lines(hint: str) -> tuple[str, str]:
    """A hint's words; and, if it ends with a block for mirror.toml, that block's lines one below the other."""
    found = _BLOCK.fullmatch(hint)
    if found is None:
        return hint, ""
    return found["words"].rstrip(), "\n".join([found["name"], *_KEY.split(found["keys"].strip())])
