"""`doctor --rebuild`, run as a person runs it after the index was damaged."""

import subprocess
from pathlib import Path

from tests import warm
from tests.conftest import StartMirror
from tests.origin import Origin, body
from tests.serving import URL, environment


def run(data: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    known = environment(data.parent, {"data": str(data), "origins": [{"url": URL, "paths": ["/sets/"]}]})
    return warm.run(*arguments, env=known)


def test_a_mirror_with_a_damaged_index(start_mirror: StartMirror, origin: Origin) -> None:
    """`serve` and `ls` say what to do; after that the mirror serves what it had, without asking the origin."""
    for number in range(3):
        origin.add(f"/sets/{number}.bin", body(1000, number))
    mirror = start_mirror()
    for number in range(3):
        assert mirror.archive(f"/sets/{number}.bin").status == 200
    beside = run(mirror.data, "doctor", "--rebuild")
    assert (beside.returncode, beside.stdout) == (1, "")
    assert mirror.url in beside.stderr
    mirror.stop()
    (mirror.data / "index.db").write_bytes(b"damaged" * 1000)
    for command in ("serve", "ls"):
        refused = run(mirror.data, command)
        assert refused.returncode == 1
        assert refused.stderr.count("\n") == 1
        assert "dataset-mirror doctor --rebuild" in refused.stderr
    mirror.blobs[0].unlink()
    done = run(mirror.data, "doctor", "--rebuild")
    assert done.returncode == 1
    assert done.stdout.startswith("Rebuilt the index: 2 archives from 3 lines.\n")
    assert done.stderr.startswith(f"lost     {URL}/sets/")
    assert run(mirror.data, "doctor", "--rebuild").returncode == 1
    mirror.start("--offline")
    assert sorted(mirror.archive(f"/sets/{number}.bin").status for number in range(3)) == [200, 200, 504]
