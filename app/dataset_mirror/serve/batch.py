"""Git LFS' batch API: where objects are. The origin says which there are, and who may have them; their bytes come from here.

Where it says that they are, signed and for a while, is not kept and not handed on: each object has an address beside the batch API, at
which the mirror has it, or gets it by asking the origin again. When that cannot be asked, the bytes that are here answer by their digest.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace

from dataset_mirror.errors import MirrorError, OriginUnreachable
from dataset_mirror.fetch.gates import REFUSALS
from dataset_mirror.fetch.opening import judge
from dataset_mirror.fetch.reply import Broken, Reply
from dataset_mirror.mirror import Mirror
from dataset_mirror.origins.asked import Question, asked
from dataset_mirror.origins.identity import ArchiveId
from dataset_mirror.origins.model import Origin
from dataset_mirror.rules import lfs
from dataset_mirror.rules.lfs import Object

Where = Callable[[str], str | None]
"""The address at which a client finds a URL of an origin."""
_LONGEST = 16 * 1024 * 1024
_ASKS = "www-authenticate"


class Batch:
    """One request to the batch API of an origin."""

    def __init__(self, mirror: Mirror, origin: Origin, target: ArchiveId, authorization: str | None, where: Where) -> None:
        self._mirror, self._origin, self._target = mirror, origin, target
        self._authorization, self._where = authorization, where
        self._fields: Mapping[str, str] = {}
        """With which the client has to ask for the objects."""

    async def answer(self, wanted: list[Object]) -> bytes:
        """The body of the answer; the origin's refusal is raised."""
        try:
            return lfs.answer([self._placed(each) for each in await self._told(wanted)])
        except (Broken, OriginUnreachable):
            return lfs.answer([await self._known(each) for each in wanted])

    async def _told(self, wanted: list[Object]) -> list[Object]:
        """What the origin says of the objects, asked without the client's credentials first. Broken or OriginUnreachable."""
        if self._mirror.settings.offline:
            raise OriginUnreachable("The mirror is offline.")
        reply = await self._ask(wanted, None)
        if self._authorization and reply.status in (*REFUSALS, 404):
            await reply.close()
            reply = await self._ask(wanted, self._authorization)
            self._fields = {"Authorization": self._authorization}
        try:
            if reply.status != 200:
                raise await self._refusal(reply)
            return lfs.told(await _whole(reply))
        except ValueError as error:
            raise Broken(f"the batch API of {self._origin.authority} is not understood: {error}", reached=True) from None
        finally:
            await reply.close()

    async def _ask(self, wanted: list[Object], authorization: str | None) -> Reply:
        question = Question(lfs.MEDIA_TYPE, authorization, lfs.question(wanted), lfs.MEDIA_TYPE)
        return await self._mirror.upstream.ask(self._origin, self._target, method="POST", question=question)

    async def _refusal(self, reply: Reply) -> MirrorError:
        """The origin's refusal, with what makes git ask its person for a password. Broken for a failure that may pass."""
        try:
            await judge(reply, self._origin.url_of(self._target), quoted=True)
        except MirrorError as error:
            if asks := reply.field(_ASKS):
                error.headers[_ASKS] = asks
            return error
        raise Broken(f"it answered {reply.status}", reached=True)

    def _placed(self, each: Object) -> Object:
        """An object, where this client finds it."""
        if each.error is not None or not each.href:
            return each
        return replace(each, href=self._address(each), fields=self._fields)

    def _address(self, each: Object) -> str:
        url = f"{self._origin.scheme}://{self._archive(each)}?size={each.size}"
        return self._where(url) or url

    def _archive(self, each: Object) -> ArchiveId:
        return replace(self._target, path=f"{self._target.path.rpartition('/')[0]}/{each.oid}", query="", given=None)

    async def _known(self, each: Object) -> Object:
        """An object as it is known here; one that is not here is wanted."""
        what = asked(self._origin, self._archive(each))
        if self._origin.offline_gated == "readers":
            what = replace(what, is_for_readers=True)
        if self._mirror.has_object(what):
            return replace(each, href=self._address(each))
        await self._mirror.misses.note(what.archive, None)
        return replace(each, error={"code": 404, "message": "The mirror does not have it, and its origin cannot be asked now."})


async def _whole(reply: Reply) -> bytes:
    body = bytearray()
    async for chunk in reply.bytes():
        body += chunk
        if len(body) > _LONGEST:
            raise ValueError("it is too long")
    return bytes(body)
