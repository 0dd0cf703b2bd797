"""What the demo says: lines as things happen, or one JSON object at the end."""

import json
import shutil
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass

import click

Figures = dict[str, object]
END = """
Everything held. The real thing, and a download to try in another terminal:

dataset-mirror serve
curl -fO http://127.0.0.1:8080/tensorflow/tf-keras-datasets/boston_housing.npz"""


@dataclass(frozen=True, slots=True)
class Shown:
    """What one step showed: its line, its figures, and its claims, each with whether it holds."""

    line: str
    figures: Figures
    claims: Mapping[str, bool]

    @property
    def failed(self) -> list[str]:
        return [claim for claim, holds in self.claims.items() if not holds]


class Story:
    """Lines on standard output as things happen, or one JSON object at the end. What is under way is shown on a terminal only."""

    def __init__(self, as_json: bool) -> None:
        self._as_json = as_json
        self._live = sys.stderr.isatty()
        self._drawn_at, self._width = 0.0, 0

    def say(self, line: str) -> None:
        self.clear()
        if not self._as_json:
            click.echo(line)

    def complain(self, *lines: str) -> None:
        """On standard error, whatever the format."""
        self.clear()
        click.echo("\n".join(lines), err=True)

    def end(self, figures: Figures) -> None:
        self.clear()
        if self._as_json:
            click.echo(json.dumps(figures, indent=2))
        else:
            click.echo(END if figures["held"] else "\nNot everything held on this machine. If that does not change, report it as a bug.")

    def under_way(self, text: str) -> None:
        """Draws over the same line, at most 20 times a second."""
        if not self._live or time.monotonic() - self._drawn_at < 0.05:
            return
        text = f"  ... {text}"[: shutil.get_terminal_size().columns - 1]
        click.echo("\r" + text.ljust(self._width), err=True, nl=False)
        self._drawn_at, self._width = time.monotonic(), len(text)

    def clear(self) -> None:
        if self._width:
            click.echo("\r" + " " * self._width + "\r", err=True, nl=False)
            self._drawn_at, self._width = 0.0, 0
