"""/openapi.json: FastAPI's, with the answers that this API really gives when something is wrong, and who may call what."""

from typing import Any

from fastapi import FastAPI

_PROBLEM = {
    "title": "Problem",
    "description": "What went wrong, and what to do about it (RFC 9457).",
    "type": "object",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": {"type": "string", "examples": ["urn:dataset-mirror:bad-request"]},
        "title": {"type": "string"},
        "status": {"type": "integer", "examples": [400]},
        "detail": {"type": "string", "description": "what happened, to which archive"},
        "hint": {"type": "string", "description": "what to do next"},
    },
}
_MEANINGS = {
    "400": "The request cannot be understood",
    "403": "Not for this client, or not listed by any origin",
    "404": "Not there",
    "413": "The request's body is too large",
    "414": "The request's target is too long",
    "503": "The mirror cannot do its work at the moment",
}
_API = ("400", "403", "413")
_ALSO = {"/api/fetch": ("404",), "/api/unblock": ("404",), "/readyz": ("503",), "/status": ("503",), "/": ("503",)}
_READING = ("400", "403", "404", "414")
_NOTHING = frozenset({"/healthz", "/docs", "/ca.pem", "/ca-bundle.pem", "/metrics", "/status/fills", "/status/catalog"})
"""Paths whose requests cannot be wrong."""
_BEARER = {
    "type": "http",
    "scheme": "bearer",
    "description": "The mirror's setting `token`.",
}


def describe(app: FastAPI) -> None:
    """Lets the app tell its problems, each as a problem document, in the place of FastAPI's own 422."""
    made = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _with_problems(made())
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]


def _with_problems(document: dict[str, Any]) -> dict[str, Any]:
    components = document.setdefault("components", {})
    schemas = components.setdefault("schemas", {})
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    schemas["Problem"] = _PROBLEM
    components["securitySchemes"] = {"token": _BEARER}
    for path, operations in document["paths"].items():
        for operation in operations.values():
            _amend(path, operation)
    return document


def _amend(path: str, operation: dict[str, Any]) -> None:
    responses = operation["responses"]
    responses.pop("422", None)
    changing = path.startswith("/api/")
    if changing:
        operation["security"] = [{"token": []}]
    usual = _API if changing else () if path in _NOTHING else _READING
    for status in (*usual, *_ALSO.get(path, ())):
        content = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
        responses.setdefault(status, {"description": _MEANINGS[status], "content": content})
