"""Python sources of strangers, parsed and never run."""

import ast
import io
import tokenize
import warnings

from dataset_mirror.errors import UsageError
from dataset_mirror.rules.counted import counted

MAX_SOURCE = 4 * 1024 * 1024
"""Longest source, in bytes: a syntax tree takes a hundred times as much memory."""


def decoded(content: bytes, name: str) -> str:
    """The text of a Python file, as its first lines declare it (PEP 263), else UTF-8. UsageError if it is not that."""
    if len(content) > MAX_SOURCE:
        raise UsageError(f"{name} has {counted(len(content), 'byte')}: too many for a script.", "Name the archives in a list instead.")
    try:
        encoding, _ = tokenize.detect_encoding(io.BytesIO(content).readline)
        return io.TextIOWrapper(io.BytesIO(content), encoding).read()
    except (SyntaxError, UnicodeDecodeError, LookupError):
        raise UsageError(f"{name} is not a text in UTF-8, nor in the encoding that it declares.", "Save it as UTF-8.") from None


def parsed(source: str, place: str) -> ast.Module:
    """The syntax tree of a source; `place` has `{}` for a line. UsageError, which says which line, if it is not Python."""
    if "\0" in source:  # which versions of Python refuse in different ways, without the line
        line = source.partition("\0")[0].count("\n") + 1
        raise UsageError(f"{place.format(line)}: the source has a null byte.", "Check that it is a script.")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the source's style
            return ast.parse(source)
    except SyntaxError as error:
        where = place.format(error.lineno or 1)
        raise UsageError(f"{where}: this is not Python as this version knows it: {error.msg}.", "Fix that line.") from None
    except UnicodeEncodeError:  # the JSON of a notebook can have half a character
        raise UsageError(f"{place.format(1)}: the source has half a character.", "Save it as UTF-8.") from None
    except (RecursionError, MemoryError):
        raise UsageError(f"{place.format(1)}: it is nested too deeply to be read.", "Name the archives in a list instead.") from None
