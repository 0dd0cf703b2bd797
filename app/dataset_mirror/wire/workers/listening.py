"""A listening socket for each process, at one port. The kernel spreads connections among them by their addresses."""

import os
import socket
import sys

SPREADS = sys.platform == "linux"
"""Whether SO_REUSEPORT spreads connections. Elsewhere all processes accept from one socket, whoever is first.

With two processes and 16 connections that come at once one of them often got all, or all but one, of a shared socket.
"""


def shared(listening: socket.socket, count: int) -> list[socket.socket]:
    """`count` sockets that listen where this one does, itself first.

    It was bound without SO_REUSEPORT, so that a port in use was refused, and no other program may join it uninvited: only
    those of the same user that set the option before they bind, which another mirror does not.
    """
    if not SPREADS:
        return [listening, *(listening.dup() for _ in range(count - 1))]
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    return [listening, *(_joined(listening) for _ in range(count - 1))]


def _joined(first: socket.socket) -> socket.socket:
    one = socket.socket(first.family, first.type, first.proto)
    one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    if first.family == socket.AF_INET6:
        one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, first.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY))
    one.bind(first.getsockname())
    one.listen(1024)
    one.setblocking(False)
    return one


def cores() -> int:
    """How many this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
