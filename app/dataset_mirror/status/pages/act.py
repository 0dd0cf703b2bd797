"""`/status/act`: what changes the mirror, by a form that says beforehand what it concerns, and afterwards what was done.

Whoever sends it has to know the token, which no page of another site does. It is done by the API, exactly as a program would ask for it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated
from urllib.parse import parse_qs

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse

from dataset_mirror.errors import BadRequest, MirrorError
from dataset_mirror.mirror import Mirror
from dataset_mirror.status.guard import body_of
from dataset_mirror.status.here import Here
from dataset_mirror.status.pages.calling import Told, call
from dataset_mirror.status.pages.concerned import Concerned, concerned
from dataset_mirror.status.pages.frame import answer

MOST_BODY = 64 * 1024
_MOST_FIELDS = 10


@dataclass(frozen=True, slots=True)
class Action:
    """What can be done: what its button and its page say, and the body of the request to /api/."""

    verb: str
    sentence: str
    asked: Callable[[str], Mapping[str, object]]
    is_loss: bool = False


def _archives(name: str) -> Mapping[str, object]:
    return {"archives": [name]}


def _names(name: str) -> Mapping[str, object]:
    return {"names": [name]}


ACTIONS: Mapping[str, Action] = {
    "fetch": Action("Fetch", "What is missing is fetched from its origin, verified and kept.", _archives),
    "rm": Action("Remove", "Removed with all its versions. It is fetched again when somebody asks for it.", _archives, is_loss=True),
    "verify": Action("Verify", "Read again and compared with its digest; what is damaged is set aside and fetched again.", _archives),
    "pin": Action("Pin", "What it means is never evicted, and is fetched if it is missing or damaged.", _names),
    "unpin": Action("Unpin", "What it means stays, but may be evicted when room is needed.", _names),
    "cancel": Action("Cancel", "The download ends; its clients get an error. The next request starts it again.", _archives, is_loss=True),
    "retry": Action("Retry", "Its origin is asked again now.", _archives),
    "unblock": Action("Ask again", "It is no longer on hold: the next download asks it again.", lambda name: {"origin": name}),
    "add": Action("Allow", "Its folder may be mirrored from now on: a block is added to mirror.toml.", lambda name: {"url": name}),
    "unwant": Action("Forget", "Taken off the wanted list. It comes back when somebody asks for it in vain.", _archives),
}


router = APIRouter(include_in_schema=False)


@router.get("/status/act")
async def ask(
    mirror: Here, request: Request, what: Annotated[str, Query(max_length=20)], name: Annotated[str, Query(min_length=1, max_length=8192)]
) -> HTMLResponse:
    return await _shown(mirror, request, what, name)


@router.post("/status/act")
async def do(mirror: Here, request: Request) -> HTMLResponse:
    form = await body_of(request, MOST_BODY, "Use the API for many names at once.")
    given = _fields(form.decode("utf-8", "replace"))
    what, name = given.get("what", ""), given.get("name", "")
    action = _action(what)
    told = await call(request, f"/api/{what}", action.asked(name), given.get("token", ""))
    return await _shown(mirror, request, what, name, told)


async def _shown(mirror: Mirror, request: Request, what: str, name: str, told: Told | None = None) -> HTMLResponse:
    action = _action(what)
    found, refused = Concerned(), None
    if told is None or not told.is_good:
        try:
            found = await mirror.looked(lambda listing: concerned(mirror, listing, what, name))
        except MirrorError as error:
            refused = error
    return await answer(
        mirror,
        request,
        "act.html",
        code=told.status if told else refused.status if refused else 200,
        what=what,
        name=name,
        action=action,
        found=found,
        refused=refused,
        told=told,
    )


def _action(what: str) -> Action:
    if what not in ACTIONS:
        raise BadRequest(f"There is no action {what!r}.", f"Actions are {', '.join(ACTIONS)}.")
    return ACTIONS[what]


def _fields(form: str) -> Mapping[str, str]:
    """The first value of each field; BadRequest if there are more than any form of ours has."""
    try:
        return {name: values[0] for name, values in parse_qs(form, max_num_fields=_MOST_FIELDS).items()}
    except ValueError:
        raise BadRequest(f"The form has more than {_MOST_FIELDS} fields.", "Send `what`, `name` and `token`.") from None
