"""Everything that can go wrong, as one tree. Each error says what happened and what to do next.

MirrorError
├── UsageError                 the command or a setting is wrong (exit code 2)
├── BadRequest          400    the target or a field of the request cannot be understood
├── RequestTimeout      408    the request did not arrive in time
├── TargetTooLong       414    the target is longer than the mirror reads
├── HeadTooLarge        431    the fields of the request are more than the mirror reads
├── NotImplementedHere  501    a method or a transfer coding that the mirror does not know
├── VersionNotSupported 505    another version of HTTP than 1.0 and 1.1
├── NotAllowed          403    no origin lists this host or path
├── Forbidden           403    this client may not do this
├── NoTunnel            403    CONNECT does not lead there
├── NoSuchPage          404    a path of the mirror itself that does not exist
├── NotStored           404    the mirror has not all that was asked for, and may not send a part
├── OriginSaysNo        4xx    the origin's own 401, 403, 404, 410, 412 or 451, passed on
├── MethodNotAllowed    405
├── NotHeld             409    another mirror follows what this one does not fetch
├── TooLarge            413    the body of a request is larger than what is read
├── FillFailed          502    the origin answered, but not with a whole and right archive
│   ├── DigestMismatch         its bytes are not what the catalog expects
│   ├── DamagedTransfer        its bytes are not those of which it says so itself
│   ├── NotAnArchive           an error page, an empty body, the wrong magic bytes
│   └── Superseded             the origin's archive changed while it was being sent
├── NotForKeeping       502    the origin's answer is for one client only: the request is passed on
├── OriginBusy          503    the origin asks to come back later than we may wait
├── OriginUnreachable   504    no upstream could be reached, or none answered in time
├── Offline             504    the mirror is offline and does not have the archive
├── StoreFull           507    no room for the archive
├── Loop                508    the request has been through this mirror already
├── TunnelsFull         503    as many tunnels as are allowed
├── ConnectionsFull     503    as many connections as are allowed, all of them busy
├── Stopping            503    the mirror is being stopped
├── Cancelled           503    somebody who may do so cancelled the download
├── SharedAway          503    the database that several mirrors share does not answer
├── Unready             503    the mirror cannot do its work at the moment
├── SystemFailure       503    the operating system refuses the mirror a file, a descriptor or memory
├── Unexpected          500    a bug in the mirror; its log has the reason
├── BundleError                a bundle, or an archive in one, cannot be taken or made (exit code 1)
├── IndexDamaged        503    the index cannot be read; what is in memory is served all the same
└── DataFolderError            the data folder cannot be used (exit code 1)

Statuses and fields of problem documents: RFC 9457.
"""

import errno
from collections.abc import Mapping
from typing import ClassVar

_EXHAUSTED = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)


class MirrorError(Exception):
    """An error with words for a person: `detail` (what happened, to what) and `hint` (what to do next)."""

    status: int = 500
    title: ClassVar[str] = "Internal error"
    problem: ClassVar[str] = "about:blank"

    def __init__(self, detail: str, hint: str = "", *, headers: Mapping[str, str] | None = None, **facts: object) -> None:
        super().__init__(detail)
        self.detail = detail
        self.hint = hint
        self.headers = dict(headers or {})
        self.facts = facts

    def __str__(self) -> str:
        return f"{self.detail} {self.hint}".strip()


class UsageError(MirrorError):
    """A wrong setting or argument; commands print it in one sentence and exit with 2."""

    status = 400
    title = "Wrong usage"


class BadRequest(MirrorError):
    status = 400
    title = "The request cannot be understood"
    problem = "bad-request"


class RequestTimeout(MirrorError):
    status = 408
    title = "The request did not arrive in time"
    problem = "request-timeout"


class TargetTooLong(MirrorError):
    status = 414
    title = "The target is too long"
    problem = "target-too-long"


class HeadTooLarge(MirrorError):
    status = 431
    title = "The request's fields are too large"
    problem = "head-too-large"


class NotImplementedHere(MirrorError):
    status = 501
    title = "Not implemented"
    problem = "not-implemented"


class VersionNotSupported(MirrorError):
    status = 505
    title = "HTTP version not supported"
    problem = "version-not-supported"


class NotAllowed(MirrorError):
    status = 403
    title = "No origin lists this URL"
    problem = "not-listed"


class Forbidden(MirrorError):
    status = 403
    title = "Not for this client"
    problem = "forbidden"


class NoTunnel(MirrorError):
    status = 403
    title = "Tunnel not allowed"
    problem = "no-tunnel"


class NoSuchPage(MirrorError):
    status = 404
    title = "No such page"
    problem = "no-such-page"


class NotStored(MirrorError):
    status = 404
    title = "Not all of it is stored"
    problem = "not-stored"


class OriginSaysNo(MirrorError):
    """The origin's own refusal; its status is passed on, its body (≤ 2 KiB) is quoted."""

    title = "The origin refuses"
    problem = "origin-refuses"

    def __init__(self, status: int, detail: str, hint: str = "", *, headers: Mapping[str, str] | None = None, **facts: object) -> None:
        super().__init__(detail, hint, headers=headers, **facts)
        self.status = status


class MethodNotAllowed(MirrorError):
    status = 405
    title = "Method not allowed"
    problem = "method-not-allowed"


class NotHeld(MirrorError):
    status = 409
    title = "This mirror does not fetch it"
    problem = "not-held"


class TooLarge(MirrorError):
    status = 413
    title = "The request's body is too large"
    problem = "too-large"


class FillFailed(MirrorError):
    status = 502
    title = "The origin did not deliver a complete, correct archive"
    problem = "fill-failed"


class DigestMismatch(FillFailed):
    title = "The origin's bytes do not have the expected digest"
    problem = "digest-mismatch"


class DamagedTransfer(FillFailed):
    title = "The bytes that arrived are not those that the origin says it sends"
    problem = "damaged-transfer"


class NotAnArchive(FillFailed):
    title = "The origin's answer is not the archive"
    problem = "not-an-archive"


class Superseded(FillFailed):
    title = "The archive changed at its origin while it was being sent"
    problem = "superseded"


class NotForKeeping(MirrorError):
    """Within the mirror: such a request is passed on instead."""

    status = 502
    title = "The origin's answer is for one client only"
    problem = "not-for-keeping"


class OriginBusy(MirrorError):
    status = 503
    title = "The origin asks to retry later"
    problem = "origin-busy"


class OriginUnreachable(MirrorError):
    status = 504
    title = "The origin cannot be reached"
    problem = "origin-unreachable"


class Offline(MirrorError):
    status = 504
    title = "The mirror is offline and does not have this archive"
    problem = "offline"


class StoreFull(MirrorError):
    status = 507
    title = "No room for this archive"
    problem = "store-full"


class Loop(MirrorError):
    status = 508
    title = "The request has already passed through this mirror"
    problem = "loop"


class TunnelsFull(MirrorError):
    status = 503
    title = "Too many tunnels"
    problem = "too-many-tunnels"


class ConnectionsFull(MirrorError):
    status = 503
    title = "Too many connections"
    problem = "too-many-connections"


class Stopping(MirrorError):
    status = 503
    title = "The mirror is shutting down"
    problem = "stopping"


class Cancelled(MirrorError):
    status = 503
    title = "The download was cancelled"
    problem = "cancelled"


class SharedAway(MirrorError):
    status = 503
    title = "The shared database does not answer"
    problem = "shared-away"


class Unready(MirrorError):
    status = 503
    title = "The mirror cannot do its work at the moment"
    problem = "not-ready"


class SystemFailure(MirrorError):
    status = 503
    title = "The operating system refuses"
    problem = "system-failure"

    @classmethod
    def of(cls, error: OSError) -> "SystemFailure":
        """The words for what the system said at a request that has nothing to do with it."""
        what = f"The mirror cannot answer at the moment: {error.strerror or error}."
        if error.errno in _EXHAUSTED:
            return cls(what, "Ask again; if it lasts, raise the mirror's limit of open files.", headers={"Retry-After": "5"})
        return cls(what, "Check the data folder's disk and permissions: dataset-mirror doctor.")


class Unexpected(MirrorError):
    title = "The mirror failed"
    problem = "internal-error"

    @classmethod
    def at(cls, request_id: str) -> "Unexpected":
        """The words for a failure of which the log has the traceback, under this id."""
        detail = f"The mirror failed at this request ({request_id}), through a bug of its own."
        hint = "Its log has the reason under this id; please report it: the traceback says where."
        return cls(detail, hint, headers={"X-Request-ID": request_id})


class BundleError(MirrorError):
    title = "The bundle cannot be used"
    problem = "bundle"


class IndexDamaged(MirrorError):
    status = 503
    title = "The index is damaged"
    problem = "index-damaged"


class DataFolderError(MirrorError):
    title = "The data folder cannot be used"
    problem = "data-folder"
