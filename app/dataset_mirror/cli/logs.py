"""What goes to standard error while a command runs."""

import logging


def configure(level: str, *, access_log: bool = False) -> None:
    """Readable lines with a time; uvicorn's own chatter only when debugging."""
    logging.basicConfig(format="%(asctime)s %(levelname)-7s %(message)s", datefmt="%H:%M:%S", level=level.upper())
    debugging = level == "debug"
    logging.getLogger("uvicorn.error").setLevel(logging.INFO if debugging else logging.WARNING)
    logging.getLogger("uvicorn.access").setLevel(logging.INFO if debugging or access_log else logging.WARNING)
    for noisy in ("httpx", "httpcore", "asyncio", "aiosqlite"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
