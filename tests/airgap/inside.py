"""A place without any network, in which lines of README run; all of them, and their mirror, from one process that has the program loaded.

Run as: unshare -rn python -m tests.airgap.inside. A request is a line of JSON on standard input, its answer one on standard output.
"""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Self

from tests import warm

ROOT = Path(__file__).parents[2]
PROGRAM = ".venv/bin/dataset-mirror"
"""What README calls it."""


def execute(lines: Sequence[str], folder: Path, env: Mapping[str, str]) -> tuple[int, str]:
    """Runs lines as a shell does with -e: `>` writes a file, and what `!` begins has to fail. Exit status, and all that they say."""
    said, status = "", 0
    for line in lines:
        must_fail, words = line.startswith("! "), shlex.split(line.removeprefix("! "))
        file = folder / words[-1] if words[-2] == ">" else None
        program, *arguments = words[:-2] if file else words
        assert program == PROGRAM
        done = warm.run(*arguments, cwd=folder, env=env)
        if file:
            file.write_text(done.stdout)
        said += ("" if file else done.stdout) + done.stderr
        status = int(done.returncode == 0) if must_fail else done.returncode
        if status:
            break
    return status, said


@contextmanager
def beside(serve: str, folder: Path, env: Mapping[str, str]) -> Iterator[None]:
    """A mirror that serves in the background meanwhile."""
    program, *arguments = shlex.split(serve)
    assert program == PROGRAM
    with (folder / "serve.err").open("w") as errors:
        mirror = warm.Process.piped(arguments, errors.fileno(), env, folder)
    assert mirror.stdout is not None
    try:
        assert any("Try:" in line for line in mirror.stdout), (folder / "serve.err").read_text()
        yield
    finally:
        mirror.terminate()
        mirror.wait(warm.PATIENCE)
        mirror.stdout.close()


class Inside:
    """That place, as long as a `with` block runs."""

    def __enter__(self) -> Self:
        command = ["unshare", "-rn", sys.executable, "-m", "tests.airgap.inside"]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT)
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate(timeout=warm.PATIENCE)

    def run(self, serve: str, lines: Sequence[str], folder: Path, env: Mapping[str, str]) -> tuple[int, str]:
        """Runs lines beside a mirror; exit status, and all that they say."""
        asked, told = self._process.stdin, self._process.stdout
        assert asked is not None
        assert told is not None
        asked.write(json.dumps({"serve": serve, "lines": lines, "folder": str(folder), "env": dict(env)}) + "\n")
        asked.flush()
        status, said = json.loads(told.readline())
        return int(status), str(said)


def main(asked: IO[str]) -> None:
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    for line in asked:
        request: dict[str, Any] = json.loads(line)
        folder, env = Path(request["folder"]), request["env"]
        with beside(request["serve"], folder, env):
            done = execute(request["lines"], folder, env)
        print(json.dumps(done), flush=True)  # noqa: T201


if __name__ == "__main__":
    main(sys.stdin)
