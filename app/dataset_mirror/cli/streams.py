"""The standard streams of a command: there even if nobody gave them, and never the reason for a traceback."""

import io
import os
import sys


def prepare() -> None:
    """Opens those that are closed, to nowhere; characters that a terminal does not know are shown as escapes.

    The next file that is opened would have the number of one that is closed, and get what is written there.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_RDWR), mode))
    if isinstance(sys.stdout, io.TextIOWrapper):  # standard error does so by itself
        sys.stdout.reconfigure(errors="backslashreplace")


def drop_rest() -> None:
    """Forgets what could not be written to standard output: the interpreter would try it again at its end, and complain."""
    nothing = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
    os.dup2(nothing, sys.stdout.fileno())
    os.close(nothing)
