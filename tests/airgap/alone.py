"""A mirror in a network namespace of its own, where every address of the world leads back to a wiretap.

Run as: unshare -rn python -m tests.airgap.alone DATA, settings and requests as JSON on standard input. Every packet is seen, whatever
address it was for, those for name servers too; what is neither to nor from the mirror's own port would have left the machine.
"""

from __future__ import annotations

import json
import shutil
import socket
import struct
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

from tests.serving import PROGRAM, Mirror, environment

_LOOPBACK_MESSAGES = 1, 58
"""ICMP and ICMPv6: the kernel's own answers."""


def why_not() -> str:
    """Why there can be no namespace here; empty if there can."""
    for program in ("unshare", "ip"):
        if not shutil.which(program):
            return f"needs the program {program}"
    tried = subprocess.run(["unshare", "-rn", "ip", "link", "set", "lo", "up"], capture_output=True, text=True, check=False)
    return f"a network namespace is not allowed here: {tried.stderr.strip()}" if tried.returncode else ""


class Wiretap(threading.Thread):
    """Notes every packet: protocol, address and port that it was for, and the port that it came from."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        every_protocol = 0x0003
        self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(every_protocol))
        self._socket.bind(("lo", 0))
        self.seen: set[tuple[int, str, int, int]] = set()

    def run(self) -> None:
        while True:
            packet = self._socket.recv(65536)[14:]  # behind the Ethernet header
            if packet[0] >> 4 == 4:
                protocol, to, rest = packet[9], socket.inet_ntoa(packet[16:20]), packet[4 * (packet[0] & 15) :]
            else:
                protocol, to, rest = packet[6], socket.inet_ntop(socket.AF_INET6, packet[24:40]), packet[40:]
            if protocol not in _LOOPBACK_MESSAGES:
                source, port = struct.unpack("!HH", rest[:4])
                self.seen.add((protocol, to, port, source))


def _enclose() -> Wiretap:
    """Every address leads to this namespace's loopback, so that nothing fails early for want of a route."""
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    subprocess.run(["ip", "route", "add", "local", "0.0.0.0/0", "dev", "lo"], check=True)
    subprocess.run(["ip", "-6", "route", "add", "local", "::/0", "dev", "lo"], check=False)
    wiretap = Wiretap()
    wiretap.start()
    return wiretap


def main() -> None:
    asked: dict[str, Any] = json.load(sys.stdin)
    wiretap = _enclose()
    answers: dict[str, tuple[int, float, str]] = {}
    with Mirror(Path(sys.argv[1]), **asked["settings"]) as mirror:
        for method, path, sent in asked["requests"]:
            began = time.monotonic()
            fields = {**mirror.key, "Content-Type": "application/json"}
            answer = mirror.get(path, method, fields, json.dumps(sent).encode() if sent is not None else None)
            answers[f"{method} {path}"] = (answer.status, time.monotonic() - began, answer.body[:2000].decode("latin-1"))
        port = mirror.port
    known = environment(mirror.data.parent, {"data": str(mirror.data)} | asked["settings"])
    for command in asked["commands"]:
        began = time.monotonic()
        done = subprocess.run([PROGRAM, *command], env=known, capture_output=True, text=True, check=False)
        answers[" ".join(command)] = (done.returncode, time.monotonic() - began, done.stdout + done.stderr)
    left = sorted({(protocol, to, at) for protocol, to, at, source in wiretap.seen if port not in (at, source)})
    print(json.dumps({"answers": answers, "left": left, "seen": len(wiretap.seen)}))  # noqa: T201


if __name__ == "__main__":
    main()
