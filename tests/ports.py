"""Ports for programs that must be told one."""

import os
import socket
from itertools import count

_FIRST, _NUMBER = 10_000, 20_000
"""Below those that a system gives to connections (Linux: from 32,768), else one of these could have it a moment later."""
_places = count(997 * os.getpid())


def free_port() -> int:
    """One that nobody listens at just now, and that was not given before by this process."""
    while True:
        port = _FIRST + next(_places) % _NUMBER
        try:
            socket.create_server(("127.0.0.1", port)).close()
        except OSError:
            continue
        return port
