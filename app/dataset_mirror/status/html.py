"""HTML from templates: escaped, and with a policy that lets a browser load only what we ship."""

from collections.abc import Mapping
from functools import cache

from fastapi.responses import HTMLResponse
from jinja2 import Environment, PackageLoader, StrictUndefined

from dataset_mirror.rules.sentences import with_lines
from dataset_mirror.status import wording
from dataset_mirror.status.assets import asset_path

_NO_MORE = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
PAGE_POLICY = "default-src 'none'; base-uri 'none'; frame-ancestors 'none'; form-action 'self'; style-src 'self'; img-src 'self'"
PAGE_POLICY += "; script-src 'self'; connect-src 'self'"
DOCS_POLICY = f"{_NO_MORE}; style-src 'self'; img-src 'self' data:; script-src 'self'; connect-src 'self'"
"""Swagger UI: its icons are data URLs in its style sheet."""


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("dataset_mirror.status"), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.globals["asset"] = asset_path
    environment.filters.update({name: getattr(wording, name) for name in wording.__all__}, with_lines=with_lines)
    return environment


def page(template: str, policy: str, fields: Mapping[str, str], *, code: int = 200, **values: object) -> HTMLResponse:
    """A template as an answer, with its Content-Security-Policy and these header fields."""
    safe = {"Content-Security-Policy": policy, "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer"}
    return HTMLResponse(_environment().get_template(template).render(values), code, headers={**safe, **fields})
