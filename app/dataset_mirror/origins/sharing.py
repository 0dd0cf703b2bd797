"""Where several mirrors keep things together, as mirror.toml writes it: a bucket, and a database beside it."""

import json
import re
from collections.abc import Mapping
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, SecretStr, field_validator

_BUCKET = re.compile(r"s3://[A-Za-z0-9][A-Za-z0-9._-]{1,62}(/[A-Za-z0-9!_.*'()/-]*)?")


class Bucket(BaseModel):
    """A bucket that speaks S3, and a prefix in it. What is not given here comes from the AWS_* variables of the environment."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    url: str
    """`s3://NAME/PREFIX`."""
    endpoint: str | None = None
    """Of a server other than Amazon's, such as http://s3.lab:7480."""
    region: str | None = None
    access_key_id: str | None = None
    secret_access_key: SecretStr | None = None

    @field_validator("url")
    @classmethod
    def _is_bucket(cls, url: str) -> str:
        if not _BUCKET.fullmatch(url):
            raise ValueError("a bucket is s3://NAME, or s3://NAME/PREFIX")
        return url.rstrip("/")

    @field_validator("endpoint")
    @classmethod
    def _is_url(cls, endpoint: str | None) -> str | None:
        parts = urlsplit(endpoint or "http://none")
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("an endpoint begins with http:// or https:// and a host")
        return endpoint.rstrip("/") if endpoint else endpoint

    @property
    def name(self) -> str:
        return urlsplit(self.url).netloc

    @property
    def prefix(self) -> str:
        return urlsplit(self.url).path.strip("/")


def as_bucket(given: object) -> object:
    """A text is the URL, or, in the environment, a table as JSON."""
    if not isinstance(given, str):
        return given
    if given.lstrip().startswith("{"):
        try:
            known = json.loads(given)
        except ValueError:
            raise ValueError("it is not valid JSON") from None
        return known if isinstance(known, Mapping) else given
    return {"url": given}


def database_url(url: str | None) -> str | None:
    """The URL of a PostgreSQL database. ValueError, which never has a password in it, for any other."""
    if url is None:
        return None
    parts = urlsplit(url)
    if parts.scheme not in ("postgresql", "postgres") or not parts.path.strip("/"):
        raise ValueError("it is the URL of a database: postgresql://USER:PASSWORD@HOST:PORT/DATABASE")
    return url
