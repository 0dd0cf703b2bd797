"""What lies upstream of those who cache: an origin of any number of archives, and nginx as the cache that is known."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.benchmarks.servers import free_port, running
from tests.serving import HOST, URL, Mirror

NGINX = """
daemon off; master_process off; worker_processes 1; pid {folder}/nginx.pid; error_log stderr error;
events {{ worker_connections 1024; }}
http {{
  client_body_temp_path {folder}/t1; proxy_temp_path {folder}/t2; fastcgi_temp_path {folder}/t3; uwsgi_temp_path {folder}/t4;
  scgi_temp_path {folder}/t5; sendfile on; keepalive_requests 1000000;
  {settings}
}}
"""
ORIGIN = """
  log_format bytes '$request_uri $body_bytes_sent'; access_log {folder}/bytes.log bytes; {pace}
  server {{
    listen 127.0.0.1:{port}; root {root};
    rewrite ^/sets/cold-[^/]+/(.*)$ /sets/$1 break;
  }}
"""
PACE = "limit_rate {rate}; sendfile_max_chunk 64k;"
"""By itself nginx would send a second's worth at once, and each request would begin with a gift."""
CACHE = """
  access_log off; proxy_cache_path {folder}/cache levels=1:2 keys_zone=archives:10m max_size=100g inactive=1d use_temp_path=off;
  server {{
    listen 127.0.0.1:{port};
    location /{host}/ {{
      proxy_pass {origin}/; proxy_http_version 1.1; proxy_set_header Connection "";
      proxy_cache archives; proxy_cache_valid 200 1d;
      proxy_cache_lock on; proxy_cache_lock_timeout 1h; proxy_cache_lock_age 1h;
    }}
  }}
"""


@dataclass(frozen=True)
class Origin:
    """A running origin, and how much it has sent."""

    url: str
    log: Path

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
def origin(root: Path, folder: Path, *, rate: int | None = None) -> Iterator[Origin]:
    """nginx as an origin of the files below `root`; `rate` is bytes per second of each connection."""
    port, folder = free_port(), _made(folder / "origin")
    pace = PACE.format(rate=rate) if rate else ""
    settings = ORIGIN.format(folder=folder, port=port, root=root / HOST, pace=pace)
    with _nginx(folder, settings, port) as url:
        yield Origin(url, folder / "bytes.log")


@contextmanager
def cache(origin: Origin, folder: Path) -> Iterator[str]:
    """nginx with proxy_cache, one request upstream for all who wait however long it takes; yields its URL."""
    port, folder = free_port(), _made(folder / "cache")
    with _nginx(folder, CACHE.format(folder=folder, port=port, host=HOST, origin=origin.url), port) as url:
        yield url


def mirror(origin: Origin, folder: Path) -> Mirror:
    """The mirror with an empty data folder and that origin, not yet started."""
    return Mirror(folder / "data", origins=[{"url": URL, "paths": ["/sets/"]}], upstreams={HOST: [origin.url]}, grace=1)


@contextmanager
def _nginx(folder: Path, settings: str, port: int) -> Iterator[str]:
    file = folder / "nginx.conf"
    file.write_text(NGINX.format(folder=folder, settings=settings))
    with running(["nginx", "-p", str(folder), "-c", str(file)], port) as url:
        yield url


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder
