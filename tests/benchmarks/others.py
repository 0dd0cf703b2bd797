"""Other caches that may be compared with: squid, varnish and Traffic Server, before the same origin, if they are on this machine."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from tests.benchmarks.measure import Bench
from tests.benchmarks.processes import Server
from tests.benchmarks.servers import running
from tests.benchmarks.upstreams import Origin
from tests.ports import free_port
from tests.serving import HOST

SQUID = """
http_port 127.0.0.1:{port} accel defaultsite=localhost no-vhost
cache_peer {host} parent {upstream} 0 no-query no-digest originserver name=origin {tls}
http_access allow all
cache_peer_access origin allow all
never_direct allow all
cache_mem 256 MB
maximum_object_size_in_memory 16 MB
maximum_object_size 4 GB
cache_dir aufs {folder}/cache 20000 16 256
collapsed_forwarding on
refresh_pattern . 1440 100% 1440
access_log none
cache_log {folder}/cache.log
cache_store_log none
pid_filename {folder}/squid.pid
coredump_dir {folder}
pinger_enable off
client_db off
shutdown_lifetime 1 second
"""
VARNISH = """
vcl 4.1;
backend origin { .host = "HOST"; .port = "PORT"; }
sub vcl_backend_response { set beresp.ttl = 1d; }
"""
ATS_PLACES = """
prefix: /usr
exec_prefix: /usr
bindir: /usr/bin
sbindir: /usr/bin
includedir: /usr/include
libdir: {libraries}
libexecdir: {libraries}/modules
sysconfdir: {folder}
datadir: {folder}
localstatedir: {folder}
runtimedir: {folder}
logdir: {folder}
cachedir: {folder}
"""
ATS = {
    "records.config": """
CONFIG proxy.config.http.server_ports STRING {port}:ip-in=127.0.0.1
CONFIG proxy.config.url_remap.remap_required INT 1
CONFIG proxy.config.http.cache.required_headers INT 0
CONFIG proxy.config.http.cache.when_to_revalidate INT 3
CONFIG proxy.config.cache.enable_read_while_writer INT 1
CONFIG proxy.config.cache.ram_cache.size INT 256M
CONFIG proxy.config.ssl.client.verify.server.policy STRING ENFORCED
CONFIG proxy.config.ssl.client.verify.server.properties STRING SIGNATURE
CONFIG proxy.config.ssl.client.CA.cert.filename STRING {authority}
CONFIG proxy.config.admin.user_id STRING #-1
CONFIG proxy.config.log.logging_enabled INT 0
CONFIG proxy.config.crash_log_helper STRING NULL
""",
    "storage.config": "{folder} 12G\n",
    "remap.config": "map http://127.0.0.1:{port}/{host}/ {upstream}/\n",
    "ip_allow.yaml": "ip_allow:\n  - {{apply: in, ip_addrs: 127.0.0.1, action: allow, methods: ALL}}\n",
}


@contextmanager
def squid(origin: Origin, folder: Path) -> Iterator[Server]:
    """One squid process as an accelerator; what is larger than 16 MB is on the disk. It will not run as root: another user does then."""
    port, upstream, made = free_port(), urlsplit(origin.url), folder / "squid"
    made.mkdir()
    tls = f"tls tls-cafile={origin.authority} tls-default-ca=off" if origin.authority else ""
    file = made / "squid.conf"
    file.write_text(SQUID.format(port=port, host=upstream.hostname, upstream=upstream.port, folder=made, tls=tls))
    if os.geteuid() == 0:
        folder.chmod(0o711)
        shutil.chown(made, "proxy", "proxy")
    name = f"benchmark{port}"
    subprocess.run(["squid", "-N", "-z", "-f", str(file), "-n", name], check=True, capture_output=True)
    with running(["squid", "-N", "-f", str(file), "-n", name], port) as server:
        yield server


@contextmanager
def varnish(origin: Origin, folder: Path) -> Iterator[Server]:
    """Varnish, which keeps all in memory."""
    port, upstream, made = free_port(), urlsplit(origin.url), folder / "varnish"
    made.mkdir()
    file = made / "default.vcl"
    file.write_text(VARNISH.replace("HOST", upstream.hostname or "").replace("PORT", str(upstream.port)))
    command = ["varnishd", "-F", "-j", "none", "-T", "none", "-a", f"127.0.0.1:{port}", "-f", str(file), "-n", str(made / "work")]
    with running([*command, "-s", "malloc,8G"], port, log=made / "log") as server:
        yield server


@contextmanager
def ats(origin: Origin, folder: Path) -> Iterator[Server]:
    """Apache Traffic Server with as many threads as it takes, which keeps all on the disk and the latest in memory, too."""
    port, made = free_port(), folder / "ats"
    made.mkdir()
    libraries = Path(shutil.which("traffic_server") or "").parents[1] / "lib" / "trafficserver"
    places = made / "runroot.yaml"
    places.write_text(ATS_PLACES.format(folder=made, libraries=libraries))
    upstream = origin.url.replace("localhost", "127.0.0.1")  # it asks name servers only, and they need not know this name
    for name, text in ATS.items():
        known = text.format(folder=made, port=port, host=HOST, upstream=upstream, authority=origin.authority or "NULL")
        (made / name).write_text(known)
    with running(["traffic_server", f"--run-root={places}"], port, log=made / "log") as server:
        yield server


KNOWN: dict[str, tuple[str, Callable[[Origin, Path], AbstractContextManager[Server]]]] = {
    "squid": ("squid", squid),
    "varnish": ("varnishd", varnish),
    "ats": ("traffic_server", ats),
}
"""By name: the program, and what starts it."""


def beside(bench: Bench, origin: Origin, ends: ExitStack) -> dict[str, Server]:
    """Those that are to be compared with and can speak with this origin: varnish speaks no TLS."""
    fit = (name for name in bench.against if not (name == "varnish" and origin.authority))
    return {name: ends.enter_context(KNOWN[name][1](origin, bench.folder)) for name in fit}
