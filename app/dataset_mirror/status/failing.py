"""Pages that fail: a problem document, and a line in the log, whatever the cause; not a bare 500 of which nobody hears."""

import logging

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dataset_mirror.errors import MirrorError, SystemFailure, Unexpected
from dataset_mirror.serve.asgi import REQUEST_ID, ClientGone, Request
from dataset_mirror.serve.head import problem

log = logging.getLogger(__name__)


class Failing:
    """Around the pages, within what Starlette says of errors that it does not know. What fails once a head has left is raised."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Raises SystemFailure in the place of an OSError if the page's head has left, and whatever else came then as it is."""
        has_begun = False

        async def noted(message: Message) -> None:
            nonlocal has_begun
            has_begun = True
            await send(message)

        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        try:
            await self._app(scope, receive, noted)
        except ClientGone:
            raise
        except OSError as error:  # no descriptor, no memory or no readable file
            if has_begun:
                raise SystemFailure.of(error) from error
            log.error("%s %s failed: %s.", scope["method"], scope["path"], error)
            await _answer(scope, send, SystemFailure.of(error))
        except Exception:
            if has_begun:
                raise
            log.exception("%s %s failed (request %s).", scope["method"], scope["path"], scope[REQUEST_ID])
            await _answer(scope, send, Unexpected.at(scope[REQUEST_ID]))


async def _answer(scope: Scope, send: Send, error: MirrorError) -> None:
    status, fields, body = problem(error, Request.of(scope).fields.get("accept", ""))
    await send({"type": "http.response.start", "status": status, "headers": fields})
    await send({"type": "http.response.body", "body": body})
