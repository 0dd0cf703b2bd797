"""What clients hear of archives that are not there, and that nobody can be asked for."""

from dataset_mirror.errors import MirrorError, Offline, OriginUnreachable
from dataset_mirror.fetch.misses import Misses, is_miss
from dataset_mirror.fetch.opening import refusal
from dataset_mirror.fetch.scopes import Knowledge
from dataset_mirror.origins.asked import Asked
from dataset_mirror.origins.identity import ArchiveId
from dataset_mirror.settings import Configuration
from dataset_mirror.store.repositories import Listings


class Absences:
    """Says why there is nothing, in the words of the origin if these are known."""

    def __init__(self, configuration: Configuration, knowledge: Knowledge, misses: Misses, listings: Listings) -> None:
        self._configuration, self._knowledge, self._misses, self._listings = configuration, knowledge, misses, listings

    def offline(self, what: Asked) -> MirrorError:
        """Why an offline mirror does not have it."""
        url = self._url_of(what.archive)
        return self.known(what) or Offline(f"The mirror is offline and does not have {url}.", "Fetch it while it is online, or import it.")

    def known(self, what: Asked) -> MirrorError | None:
        """The refusal of the origin when nobody can be asked: the last one, or that which its own list of files means."""
        if (known := self._knowledge.absence(what, however_old=True)) is not None:
            return known
        found = self._configuration.origins.file_meant(what.archive)
        if found is None or (absent := found[0].names.absent) is None or not self._listings.lacks(*found):
            return None
        return refusal(404, self._url_of(what.archive), [(name.lower(), value) for name, value in absent.items()])

    async def missed(self, what: Asked, error: MirrorError, asked_by: str | None) -> MirrorError:
        """The error of a request for an archive, as its client gets it: what could not be fetched is on the wanted list by then."""
        archive = what.archive
        if is_miss(error) and (refused := self.known(what)):
            return refused
        listed = is_miss(error) and await self._misses.note(archive, asked_by)
        if isinstance(error, Offline | OriginUnreachable):
            error.status = self._status_of_nothing(archive, error.status)
        if not listed or not isinstance(error, Offline):
            return error
        said = Offline(
            f"{error.detail} It is on the wanted list now.",
            "Carry that list to where there is a network: dataset-mirror wanted --export wanted.txt",
        )
        said.status = error.status
        return said

    def _status_of_nothing(self, archive: ArchiveId, usual: int) -> int:
        """With what a client hears that no origin could be asked: some look into their own cache only after the one of their rule."""
        matched = self._configuration.origins.matched(archive)
        return matched.rule.offline_status if matched and "offline_status" in matched.rule.model_fields_set else usual

    def _url_of(self, archive: ArchiveId) -> str:
        return self._configuration.origins.of(archive).url_of(archive)
