"""Whether another mirror may follow a fill of this one."""

import hmac

from dataset_mirror.errors import Forbidden, NotHeld
from dataset_mirror.mirror import Mirror
from dataset_mirror.origins.identity import ArchiveId


def check_may_follow(mirror: Mirror, archive: ArchiveId, given: str) -> None:
    """Forbidden if it does not know this mirror's secret; NotHeld if the lease is not, or not any more, this mirror's."""
    assert mirror.shared is not None
    token, _, secret = given.partition(" ")
    if not hmac.compare_digest(secret.encode(), mirror.shared.life.secret.encode()):
        raise Forbidden("Another mirror asks, and does not know the secret of this one.", "Check `advertise_url` of both mirrors.")
    if token != str(mirror.shared.tokens.get(str(archive))):
        raise not_held(archive)


def not_held(archive: ArchiveId) -> NotHeld:
    return NotHeld(f"This mirror does not fetch {archive} for the others.", "Ask the database again who does.")
