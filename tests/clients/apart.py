"""git and pip in a network of their own, where a host of the tests' own has a public address. Prints what came of it, as JSON.

Runs inside `unshare -rnm`; the argument is an empty folder. Nothing of it leaves the machine.
"""

from __future__ import annotations

import functools
import hashlib
import http.server
import json
import os
import ssl
import subprocess
import sys
import threading
import zipfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.serving import PATIENCE, Mirror
from tests.status.test_setup import evaluated

ADDRESS, PUBLIC = "93.184.215.14", "public.example.org"
"""Any address of the public internet: in this network it is ours."""


def main(place: Path) -> None:
    prepare_network(place)
    site = place / "site"
    repository(site, place)
    package(site)
    with serving(site, certificate(place)), Mirror(place / "data") as mirror:
        known, _ = evaluated(mirror.url, place / "home", known={"SSL_CERT_FILE": str(place / "company.pem")})
        known = {name: value for name, value in known.items() if not name.startswith("PIP_") or name == "PIP_CERT"}
        said = {"git": git(known), "pip": pip(known, place)}
        sys.stdout.write(json.dumps(said | {"doors": mirror.status["doors"], "log": mirror.log}))


def prepare_network(place: Path) -> None:
    for command in (["ip", "link", "set", "lo", "up"], ["ip", "address", "add", f"{ADDRESS}/32", "dev", "lo"]):
        subprocess.run(command, check=True)
    (place / "hosts").write_text(f"127.0.0.1 localhost\n{ADDRESS} {PUBLIC}\n")
    subprocess.run(["mount", "--bind", str(place / "hosts"), "/etc/hosts"], check=True)


def certificate(place: Path) -> Path:
    """A server's certificate with its key, signed by itself; the client trusts it by its own SSL_CERT_FILE."""
    key, name, now = (
        ec.generate_private_key(ec.SECP256R1()),
        x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, PUBLIC)]),
        datetime.now(UTC),
    )
    builder = x509.CertificateBuilder(
        name, name, key.public_key(), x509.random_serial_number(), now - timedelta(days=1), now + timedelta(days=1)
    )
    builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(PUBLIC)]), critical=False)
    signed = builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
    (place / "company.pem").write_bytes(signed)
    secret = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (place / "server.pem").write_bytes(signed + secret)
    return place / "server.pem"


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None: ...


class serving:  # noqa: N801 - it reads as a verb
    """A folder over TLS at the public host."""

    def __init__(self, site: Path, pem: Path) -> None:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(pem)
        self._server = http.server.ThreadingHTTPServer((ADDRESS, 443), functools.partial(Quiet, directory=str(site)))
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)

    def __enter__(self) -> None:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


def repository(site: Path, place: Path) -> None:
    """A repository with one commit, for clients that only read files."""
    work = place / "work"
    mine = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
    for command in (
        ["git", "init", "-q", str(work)],
        ["git", "-C", str(work), "-c", "user.name=a", "-c", "user.email=a@example.org", "commit", "-q", "--allow-empty", "-m", "one"],
        ["git", "clone", "-q", "--bare", str(work), str(site / "sets.git")],
        ["git", "-C", str(site / "sets.git"), "update-server-info"],
    ):
        subprocess.run(command, check=True, env=mine)


def package(site: Path) -> None:
    """An index with one wheel."""
    folder, name = site / "simple" / "tiny", "tiny-1.0-py3-none-any.whl"
    folder.mkdir(parents=True)
    with zipfile.ZipFile(folder / name, "w") as wheel:
        wheel.writestr("tiny.py", "")
        wheel.writestr("tiny-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: tiny\nVersion: 1.0\n")
        wheel.writestr("tiny-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr("tiny-1.0.dist-info/RECORD", "")
    digest = hashlib.sha256((folder / name).read_bytes()).hexdigest()
    (folder / "index.html").write_text(f'<!DOCTYPE html><a href="{name}#sha256={digest}">{name}</a>')


def git(known: dict[str, str]) -> str:
    return ran(["git", "ls-remote", f"https://{PUBLIC}/sets.git"], known | {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"})


def pip(known: dict[str, str], place: Path) -> str:
    options = ["--no-deps", "--disable-pip-version-check", "--index-url", f"https://{PUBLIC}/simple/", "-d", str(place / "wheels")]
    return ran([sys.executable, "-m", "pip", "download", *options, "tiny"], known | {"PIP_CONFIG_FILE": os.devnull})


def ran(command: list[str], known: dict[str, str]) -> str:
    done = subprocess.run(command, env=known, capture_output=True, text=True, timeout=2 * PATIENCE, check=False)
    return done.stdout if done.returncode == 0 else f"exit {done.returncode}: {done.stderr}"


if __name__ == "__main__":
    main(Path(sys.argv[1]))
