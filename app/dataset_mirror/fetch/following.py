"""What one mirror tells another that follows one of its fills, in fields that no client gets."""

import json
import time

from dataset_mirror.fetch.edition import Edition
from dataset_mirror.fetch.reply import Reply, Shared
from dataset_mirror.rules.conditions import Validators
from dataset_mirror.rules.fields import kept
from dataset_mirror.store.record import Record

FOLLOW = "x-dataset-mirror-follow"
"""Names the lease, and proves that the database gave it: TOKEN SECRET."""
REQUEST_ID = "x-request-id"
"""The id of the client's request that follows, so that the logs of both mirrors can be read together."""
KNOWN = "x-dataset-mirror-known"
"""What is known of the bytes that follow: JSON in ASCII."""


def of_edition(edition: Edition, began: float, *, private: bool) -> str:
    """Of bytes that still arrive, since `began` (seconds since the epoch)."""
    given = edition.validators
    told = {
        "etag": given.etag,
        "last_modified": given.last_modified,
        "date_is_strong": given.date_is_strong,
        "fields": [list(field) for field in edition.fields],
        "checked": edition.came - edition.age,
        "fetched": began,
        "private": private,
    }
    return json.dumps(told)


def of_record(record: Record) -> str:
    """Of bytes that are whole and verified."""
    return json.dumps({"record": record.to_line()})


def shared_by(reply: Reply) -> Shared | None:
    """What another mirror told with its answer; None if it told nothing that makes sense."""
    try:
        told = json.loads(reply.response.headers.get(KNOWN, ""))
        if "record" in told:
            record = Record.from_line(told["record"])
            return Shared(record.validators, record.fields, record.checked, record.fetched, record)
        validators = Validators(told["etag"], told["last_modified"], told["date_is_strong"] is True)
        fields = kept(((str(name), str(value)) for name, value in told["fields"]), [str(name) for name, _ in told["fields"]])
        fetched = min(float(told["fetched"]), time.time())
        return Shared(validators, fields, float(told["checked"]), fetched, private=bool(told["private"]))
    except (ValueError, KeyError, TypeError):
        return None
