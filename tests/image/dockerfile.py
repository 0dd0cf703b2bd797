"""The Dockerfile, read: what the tests of the image hold it to."""

import json
import re
import shlex
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCKERFILE = ROOT / "Dockerfile"


@dataclass(frozen=True)
class Instruction:
    """One instruction, its lines joined; `name` is in capitals."""

    name: str
    value: str


@dataclass(frozen=True)
class Stage:
    """What follows one FROM, without it."""

    base: str
    instructions: tuple[Instruction, ...]

    def all(self, name: str) -> list[str]:
        """The values of every instruction of that name."""
        return [instruction.value for instruction in self.instructions if instruction.name == name]

    def one(self, name: str) -> str:
        """The value of the only instruction of that name."""
        (value,) = self.all(name)
        return value

    def command(self, name: str) -> list[str]:
        """The arguments of an instruction in exec form, such as ENTRYPOINT; after `CMD` where options stand before it."""
        arguments: list[str] = json.loads(re.sub(r"^[^\[]*", "", self.one(name)))
        return arguments

    @property
    def environment(self) -> dict[str, str]:
        """All that ENV sets."""
        return dict(pair.split("=", 1) for value in self.all("ENV") for pair in shlex.split(value))

    @property
    def copied(self) -> list[tuple[list[str], str]]:
        """Sources in the build context and their destination, for each COPY that is not from another stage."""
        copies = [shlex.split(value) for value in self.all("COPY") if not value.startswith("--from")]
        return [(words[:-1], words[-1]) for words in copies]


def stages() -> list[Stage]:
    """The Dockerfile's stages; the last one becomes the image."""
    found: list[tuple[str, list[Instruction]]] = []
    for instruction in _instructions(DOCKERFILE.read_text(encoding="utf-8")):
        if instruction.name == "FROM":
            found.append((instruction.value, []))
        else:
            found[-1][1].append(instruction)
    return [Stage(base, tuple(instructions)) for base, instructions in found]


def _instructions(text: str) -> list[Instruction]:
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    joined = re.sub(r"\\\n\s*", "", "\n".join(lines))
    return [Instruction(*line.split(maxsplit=1)) for line in joined.splitlines()]
