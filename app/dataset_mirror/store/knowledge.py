"""What origins said that is no bytes: which commit a name means, what they refuse, and what is not for everybody. Never a token."""

import json
import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, Literal, Self, get_args

from sqlalchemy import Connection, RowMapping, bindparam, delete, func, select
from sqlalchemy.dialects.sqlite import insert

from dataset_mirror.rules.fields import Fields, is_value
from dataset_mirror.rules.freshness import CLOCK_SECONDS
from dataset_mirror.store.schema import knowledge

Kind = Literal["ref", "refusal", "restricted"]
_END_OF_TIME = 253402300800.0
_FIND = select(knowledge).where(knowledge.c.kind == bindparam("kind"), knowledge.c.about == bindparam("about"))
_FORGET = delete(knowledge).where(knowledge.c.kind == bindparam("kind_"), knowledge.c.about == bindparam("about_"))
_MOST = 4096
MOST_REFUSALS = 20_000
"""That are known; any client can cause more, by asking for names that there are not."""


@dataclass(frozen=True, slots=True)
class Fact:
    """One thing that an origin said, `checked` when (seconds since the epoch)."""

    kind: Kind
    about: str
    """`HOST/SCOPE@REF`, an archive, or `HOST/SCOPE`."""
    scope: str
    """`HOST/SCOPE`, what it belongs to; `HOST` alone if a rule names no scope."""
    checked: float
    commit: str = ""
    """What a name means."""
    status: int = 0
    """With what it refuses."""
    fields: Fields = ()
    """What clients read of a refusal."""
    body: str = ""
    """The beginning of what it says to people."""
    restricted: bool = False
    """Whether it was said to somebody who gave credentials."""

    def to_line(self) -> str:
        """One line of JSON without its end; `from_line` reads it back."""
        known = {
            "knows": self.kind,
            "about": self.about,
            "scope": self.scope,
            "commit": self.commit or None,
            "status": self.status or None,
            "fields": [list(field) for field in self.fields] or None,
            "body": self.body or None,
            "restricted": self.restricted or None,
            "checked": self.checked,
        }
        return json.dumps({key: value for key, value in known.items() if value is not None}, ensure_ascii=False)

    @classmethod
    def from_line(cls, line: str) -> Self:
        """The fact of a line; ValueError if it is none, or if a value cannot be: lines of bundles are nobody's word."""
        try:
            known: dict[str, Any] = json.loads(line)
            found = cls(
                kind=known["knows"],
                about=known["about"],
                scope=known["scope"],
                checked=known["checked"],
                commit=known.get("commit", ""),
                status=known.get("status", 0),
                fields=tuple((name, value) for name, value in known.get("fields", [])),
                body=known.get("body", ""),
                restricted=known.get("restricted", False),
            )
            found._check()
        except (KeyError, TypeError, AttributeError, RecursionError) as error:
            raise ValueError(f"not a line of the journal: {error!r}") from None
        return found

    def _check(self) -> None:
        texts = [self.about, self.scope, self.commit, self.body, *(text for field in self.fields for text in field)]
        if not (
            self.kind in get_args(Kind)
            and all(type(text) is str and len(text) <= 4 * _MOST for text in texts)
            and all(is_value(value) and is_value(name) for name, value in self.fields)
            and type(self.status) is int
            and (400 <= self.status < 500 if self.kind == "refusal" else self.status == 0)
            and self.commit.isalnum() == (self.kind == "ref")
            and type(self.checked) in (int, float)
            and 0 <= self.checked <= _END_OF_TIME
            and type(self.restricted) is bool
        ):
            raise ValueError("not a line of the journal: a value cannot be")

    def age(self, now: float) -> float:
        """Seconds since it was said, as of `now`; without end if that is in the future: a clock was wrong then, or is now."""
        return math.inf if self.checked > now + CLOCK_SECONDS else now - self.checked

    def says_the_same_as(self, other: "Fact | None") -> bool:
        """Whether only the time differs."""
        return other is not None and replace(other, checked=self.checked) == self


def put(connection: Connection, fact: Fact) -> None:
    """Stores a fact, in the place of an earlier one of its kind about the same subject."""
    row = {"kind": fact.kind, "about": fact.about, "scope": fact.scope, "checked": fact.checked, "line": fact.to_line()}
    connection.execute(insert(knowledge).values(**row).on_conflict_do_update(["kind", "about"], set_=row))


def tidy(connection: Connection) -> bool:
    """Drops the refusals of longest ago beyond `MOST_REFUSALS`; whether there were such."""
    refusals = knowledge.c.kind == "refusal"
    beyond = connection.execute(select(func.count()).select_from(knowledge).where(refusals)).scalar_one() - MOST_REFUSALS
    if beyond > 0:
        oldest = select(knowledge.c.id).where(refusals).order_by(knowledge.c.checked).limit(beyond)
        connection.execute(delete(knowledge).where(knowledge.c.id.in_(oldest)))
    return beyond > 0


def find(connection: Connection, kind: Kind, about: str) -> Fact | None:
    """What is known, or None."""
    row = connection.execute(_FIND, {"kind": kind, "about": about}).mappings().first()
    return fact_of(row) if row else None


def fact_of(row: RowMapping) -> Fact:
    """The fact of a row."""
    return Fact.from_line(row["line"])


def forget(connection: Connection, kind: Kind, *about: str) -> None:
    """Deletes what is known of this kind about these subjects."""
    connection.execute(_FORGET, [{"kind_": kind, "about_": each} for each in about])


def every(connection: Connection, scopes: Iterable[str] | None = None) -> list[Fact]:
    """All that is known, or what belongs to these scopes, in the order of kinds and subjects."""
    statement = select(knowledge).order_by(knowledge.c.kind, knowledge.c.about)
    if scopes is not None:
        statement = statement.where(knowledge.c.scope.in_(list(scopes)))
    return [fact_of(row) for row in connection.execute(statement).mappings()]
