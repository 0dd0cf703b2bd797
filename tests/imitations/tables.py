"""figshare's download host and OpenML, as scikit-learn asks them."""

from __future__ import annotations

import gzip
import hashlib
import json
import secrets
from collections.abc import Mapping

from tests.imitations.server import Answer, Asked, Said
from tests.imitations.web import found, missing

FIGSHARE, BUCKET, OPENML = "ndownloader.figshare.com", "s3-eu-west-1.amazonaws.com", "www.openml.org"
JSON = {"Content-Type": "application/json"}
ARFF = b"@RELATION tiny\n@ATTRIBUTE a NUMERIC\n@ATTRIBUTE class {x,y}\n@DATA\n1,x\n2,y\n3,x\n"


def figshare(files: Mapping[str, bytes]) -> dict[str, Answer]:
    """Files by number: each download is signed afresh; the host of the bytes takes nothing without that."""
    signed: set[str] = set()

    def front(asked: Asked) -> Said:
        number = asked.raw_path.removeprefix("/files/")
        if number not in files:
            return missing(asked)
        mark = secrets.token_hex(32)
        signed.add(mark)
        query = f"X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Expires=10&X-Amz-SignedHeaders=host&X-Amz-Signature={mark}"
        return Said(302, {"Location": f"https://{BUCKET}/pfigshare-u-files/{number}/file.bin?{query}", "Cache-Control": "no-cache"})

    def bucket(asked: Asked) -> Said:
        if asked.query.get("X-Amz-Signature") not in signed:
            return Said(403, {"Content-Type": "application/xml"}, b"<Error><Code>AccessDenied</Code></Error>")
        content = files[asked.raw_path.split("/")[2]]
        tag = hashlib.md5(content, usedforsecurity=False).hexdigest()
        return found(content, "binary/octet-stream", ETag=f'"{tag}"', Server="AmazonS3", x_amz_request_id="1")

    return {FIGSHARE: front, BUCKET: bucket}


def openml() -> dict[str, Answer]:
    """One data set, `tiny`, number 7; whatever other name is asked for is 412, which means that there is none."""

    def answer(asked: Asked) -> Said:
        path = asked.raw_path.rstrip("/")
        if path.startswith("/api/v1/json/data/list/data_name/tiny/"):
            return _json({"data": {"dataset": [{"did": 7, "name": "tiny", "version": 1, "status": "active"}]}}, asked)
        if path.startswith("/api/v1/json/data/list/"):
            return Said(412, JSON, b'{"error": {"code": "372", "message": "No results"}}')
        known: dict[str, object] = {
            "/api/v1/json/data/7": {"data_set_description": _description()},
            "/api/v1/json/data/features/7": {"data_features": {"feature": _FEATURES}},
            "/api/v1/json/data/qualities/7": {"data_qualities": {"quality": [{"name": "NumberOfInstances", "value": "3"}]}},
        }
        if path in known:
            return _json(known[path], asked)
        if path.startswith("/data/v1/download/70"):
            return found(ARFF, "text/plain; charset=utf-8", Content_Disposition='attachment; filename="tiny.arff"', ETag='"70"')
        return missing(asked)

    return {OPENML: answer}


_USUAL = {"is_ignore": "false", "is_row_identifier": "false", "number_of_missing_values": "0"}
_FEATURES = [
    {"index": "0", "name": "a", "data_type": "numeric", "is_target": "false", **_USUAL},
    {"index": "1", "name": "class", "data_type": "nominal", "is_target": "true", "nominal_value": ["x", "y"], **_USUAL},
]


def _description() -> dict[str, object]:
    md5 = hashlib.md5(ARFF, usedforsecurity=False).hexdigest()
    url = f"https://{OPENML}/data/v1/download/70/tiny.arff"
    return {
        "id": "7",
        "name": "tiny",
        "version": "1",
        "format": "ARFF",
        "file_id": "70",
        "url": url,
        "md5_checksum": md5,
        "description": "Tiny.",
        "status": "active",
    }


def _json(said: object, asked: Asked) -> Said:
    body = json.dumps(said).encode()
    if "gzip" in asked.fields.get("accept-encoding", ""):
        return Said(200, {**JSON, "Content-Encoding": "gzip"}, gzip.compress(body))
    return Said(200, JSON, body)
