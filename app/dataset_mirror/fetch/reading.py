"""Who reads which blob at the moment."""

from collections import Counter


class Reading(Counter[str]):
    """Answers under way, by the digest of the blob that they send; what nobody reads any more is forgotten."""

    def __setitem__(self, sha256: str, count: int) -> None:
        if count:
            super().__setitem__(sha256, count)
        else:
            self.pop(sha256, None)
