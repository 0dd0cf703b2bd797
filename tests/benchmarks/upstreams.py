"""What lies upstream of those who cache: an origin of any number of archives, and nginx as the cache that is known."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.benchmarks.processes import Server
from tests.benchmarks.servers import Certificate, running
from tests.ports import free_port
from tests.serving import HOST, URL, Mirror

NGINX = """
daemon off; master_process off; worker_processes 1; pid {folder}/nginx.pid; error_log stderr error;
events {{ worker_connections 8192; }}
http {{
  tcp_nopush on;
  client_body_temp_path {folder}/t1; proxy_temp_path {folder}/t2; fastcgi_temp_path {folder}/t3; uwsgi_temp_path {folder}/t4;
  scgi_temp_path {folder}/t5; sendfile on; keepalive_requests 1000000;
  {settings}
}}
"""
ORIGIN = """
  log_format bytes '$request_uri $body_bytes_sent'; access_log {folder}/bytes.log bytes; {pace}
  server {{
    listen 127.0.0.1:{port}{tls}; root {root};
    rewrite ^/{host}/(.*)$ /$1;
    rewrite ^/sets/cold-[^/]+/(.*)$ /sets/$1 break;
  }}
"""
PACE = "limit_rate {rate}; sendfile_max_chunk 64k;"
"""By itself nginx would send a second's worth at once, and each request would begin with a gift."""
CACHE = """
  access_log off; {threads}
  proxy_cache_path {folder}/cache levels=1:2 keys_zone=archives:10m max_size=100g inactive=1d use_temp_path=off;
  server {{
    listen 127.0.0.1:{port};
    location /{host}/ {{
      proxy_pass {origin}/; proxy_http_version 1.1; proxy_set_header Connection ""; {trust}
      proxy_cache archives; proxy_cache_valid 200 1d;
      proxy_cache_lock on; proxy_cache_lock_timeout 1h; proxy_cache_lock_age 1h;
    }}
  }}
"""
TRUST = "proxy_ssl_verify on; proxy_ssl_trusted_certificate {authority}; proxy_ssl_name localhost; proxy_ssl_server_name on;"


@dataclass(frozen=True)
class Origin:
    """A running origin, and how much it has sent."""

    url: str
    log: Path
    authority: Path | None
    """Who vouches for it, if it speaks TLS."""

    def sent(self, path: str) -> int:
        """Bytes of bodies that went out for this path. Waits until the origin has noticed that nobody reads any more."""
        before, now = -1, 0
        while now != before:
            time.sleep(0.5)
            lines = (line.split() for line in self.log.read_text().splitlines())
            before, now = now, sum(int(count) for asked, count in lines if asked == path)
        return now


def cold(path: str, number: int | str) -> str:
    """Another path of the same bytes: an archive that nobody has yet."""
    return path.replace("/sets/", f"/sets/cold-{number}/")


@contextmanager
def origin(root: Path, folder: Path, *, rate: int | None = None, certificate: Certificate | None = None) -> Iterator[Origin]:
    """nginx as an origin of the files below `root`; `rate` is bytes per second of each connection. With a certificate it speaks TLS."""
    port, folder = free_port(), _made(folder / "origin")
    pace = PACE.format(rate=rate) if rate else ""
    tls = f" ssl; ssl_certificate {certificate.file}; ssl_certificate_key {certificate.file}" if certificate else ""
    settings = ORIGIN.format(folder=folder, port=port, root=root / HOST, host=HOST, pace=pace, tls=tls)
    with _nginx(folder, settings, port):
        url = f"https://localhost:{port}" if certificate else f"http://127.0.0.1:{port}"
        yield Origin(url, folder / "bytes.log", certificate.authority if certificate else None)


@contextmanager
def cache(origin: Origin, folder: Path, *, threads: bool = False) -> Iterator[Server]:
    """nginx with proxy_cache, one request upstream for all who wait however long it takes.

    `threads`: reads and writes of files are done by threads (`aio`), as its documentation proposes where disks make it wait.
    """
    port, folder = free_port(), _made(folder / ("cache-aio" if threads else "cache"))
    trust = TRUST.format(authority=origin.authority) if origin.authority else ""
    settings = CACHE.format(
        folder=folder,
        port=port,
        host=HOST,
        origin=origin.url.replace("localhost", "127.0.0.1"),
        trust=trust,
        threads="aio threads; aio_write on;" if threads else "",
    )
    with _nginx(folder, settings, port) as server:
        yield server


def mirror(origin: Origin, folder: Path) -> Mirror:
    """The mirror with an empty data folder and that origin, not yet started."""
    trusted = {"ca_file": str(origin.authority)} if origin.authority else {}
    return Mirror(folder / "data", origins=[{"url": URL, "paths": ["/sets/"]}], upstreams={HOST: [origin.url]}, grace=1, **trusted)


@contextmanager
def _nginx(folder: Path, settings: str, port: int) -> Iterator[Server]:
    file = folder / "nginx.conf"
    file.write_text(NGINX.format(folder=folder, settings=settings))
    with running(["nginx", "-p", str(folder), "-c", str(file)], port) as server:
        yield server


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder
