"""Pages while the operating system has no descriptor, no memory or no readable file for them: a problem document, not a bare 500."""

import logging

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dataset_mirror.errors import SystemFailure
from dataset_mirror.serve.asgi import ClientGone
from dataset_mirror.serve.head import problem

log = logging.getLogger(__name__)


class SystemFailures:
    """Around the pages, within what Starlette says of errors that it does not know."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Raises SystemFailure instead if the page's head has left."""
        has_begun = False

        async def noted(message: Message) -> None:
            nonlocal has_begun
            has_begun = True
            await send(message)

        try:
            await self._app(scope, receive, noted)
        except ClientGone:
            raise
        except OSError as error:
            if scope["type"] != "http":
                raise
            failure = SystemFailure.of(error)
            if has_begun:
                raise failure from error
            log.error("%s %s failed: %s.", scope["method"], scope["path"], error)
            status, fields, body = problem(failure)
            await send({"type": "http.response.start", "status": status, "headers": fields})
            await send({"type": "http.response.body", "body": body})
