"""An answer from memory that its client does not take at once: it waits in the connection's buffer."""

import asyncio
import time
from dataclasses import dataclass, field


@dataclass(eq=False, slots=True)
class Slow:
    """Such an answer, as those under way are told of. It was counted when it was given."""

    transport: asyncio.Transport
    client: str
    archive: str
    total: int
    since: float = field(default_factory=time.time)
    id: str = ""
    outcome: str = "memory"

    @property
    def sent(self) -> int:
        """Bytes that the client's connection took."""
        return max(0, self.total - self.transport.get_write_buffer_size())

    @property
    def rate(self) -> float:
        """Bytes per second since it began."""
        return self.sent / max(time.time() - self.since, 0.25)

    def news(self) -> int:
        return 0
