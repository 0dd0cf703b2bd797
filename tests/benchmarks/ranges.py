"""Parts of a large archive, as parallel and resuming clients ask for them."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from functools import partial

from tests.benchmarks import servers
from tests.benchmarks.load import CONNECTIONS, check_same, requests_per_second
from tests.benchmarks.measure import OURS, Bench, Result
from tests.origin import MIB

RANDOM_RANGES = """
local size, count = {size}, {count}
function request()
  local start = math.random(0, size - count)
  return wrk.format("GET", nil, {{["Range"] = "bytes=" .. start .. "-" .. (start + count - 1)}})
end
"""


def _random_ranges(bench: Bench, target: float, *, connections: int = CONNECTIONS) -> Result:
    """1 MiB anywhere in a blob of 1 GB, which is in memory."""
    root, size = bench.folder / "files", bench.size(1000)
    path = servers.make_file(root, size)
    script = bench.folder / "ranges.lua"
    script.write_text(RANDOM_RANGES.format(size=size, count=MIB))
    with ExitStack() as ends:
        urls = {
            OURS: ends.enter_context(servers.mirror(root, bench.folder / "data")).url + path,
            "nginx": ends.enter_context(servers.nginx(root, bench.folder)).url + path,
        }
        check_same(urls, {"Range": f"bytes={size // 3}-{size // 3 + MIB - 1}"})
        turns = {
            name: partial(requests_per_second, url, seconds=bench.seconds, script=script, connections=connections)
            for name, url in urls.items()
        }
        return bench.side_by_side(turns, unit="1/s", baseline="nginx", target=target)


ROWS: dict[str, Callable[[Bench], Result]] = {
    "random-ranges": lambda bench: _random_ranges(bench, 0.9),
    "random-ranges-c1": lambda bench: _random_ranges(bench, 0.9, connections=1),
    "random-ranges-c64": lambda bench: _random_ranges(bench, 0.9, connections=64),
}
