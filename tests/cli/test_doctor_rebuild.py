"""`doctor --rebuild`, run as a person runs it after the index was damaged."""

import hashlib
import subprocess
from pathlib import Path

from tests import warm
from tests.conftest import StartMirror
from tests.origin import Origin, body
from tests.serving import HOST, URL, environment


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


def test_a_line_that_cannot_be_read(start_mirror: StartMirror, origin: Origin) -> None:
    """`--rebuild` ends with 1 and names what it cannot explain; that stays in quarantine, whatever `gc` takes."""
    for number in range(3):
        origin.add(f"/sets/{number}.bin", body(1000, number))
    mirror = start_mirror()
    assert all(mirror.archive(f"/sets/{number}.bin").status == 200 for number in range(3))
    mirror.stop()
    digests = [hashlib.sha256(body(1000, number)).hexdigest() for number in range(3)]
    journal = mirror.data / "archives.ndjson"
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join(line[:40] + b"\x00" + line[41:] if digests[0].encode() in line else line for line in lines))
    (mirror.data / "tree" / HOST / "sets" / "0.bin").unlink()
    (mirror.data / "index.db").unlink()
    done = run(mirror.data, "doctor", "--rebuild")
    assert done.returncode == 1
    assert done.stdout.startswith("Rebuilt the index: 2 archives from 3 lines; 1 of them could not be read.\n")
    assert f"unknown  {digests[0]}: " in done.stderr
    for _ in range(2):
        assert run(mirror.data, "gc").returncode == 0
        assert (mirror.data / "quarantine" / "unexplained" / digests[0]).read_bytes() == body(1000, 0)
    again = run(mirror.data, "doctor", "--rebuild")
    assert again.returncode == 1, "the line is still unreadable, and says so until somebody looks at it"
    assert mirror.start("--offline").archive("/sets/1.bin").body == body(1000, 1)
