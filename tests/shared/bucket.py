"""A fresh bucket at the gateway."""

from __future__ import annotations

import time
from datetime import timedelta
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import obstore
from obstore.store import S3Store

from tests.shared.ceph import ACCESS, SECRET
from tests.warm import PATIENCE

REGION = "us-east-1"


def bucket_store(endpoint: str, name: str, prefix: str = "") -> S3Store:
    """A client of ours for one bucket."""
    return S3Store(
        name,
        prefix=prefix or None,
        endpoint=endpoint,
        region=REGION,
        access_key_id=ACCESS,
        secret_access_key=SECRET,
        virtual_hosted_style_request=False,
        client_options={"allow_http": True},
    )


def make_bucket(endpoint: str, name: str) -> None:
    """Creates it; the first one of a gateway takes a moment, for which it may answer with an error."""
    until = time.monotonic() + PATIENCE
    while True:
        url = obstore.sign(bucket_store(endpoint, name), "PUT", "", timedelta(minutes=5))
        try:
            with urlopen(Request(url, method="PUT"), timeout=PATIENCE):
                return
        except HTTPError as error:
            if time.monotonic() > until or error.code < 500:
                raise
            time.sleep(0.1)
