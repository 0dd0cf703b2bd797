"""An error as a small page, for people whose browser asked for one: escaped, without scripts, and nothing is loaded."""

from html import escape

from dataset_mirror.errors import MirrorError

_PAGE = """<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><meta name="color-scheme" content="light dark">
<title>{title}</title></head>
<body>
<main>
<h1>{status} {title}</h1>
<p>{detail}</p>
{more}<hr>
<p><a href="/">dataset-mirror</a></p>
</main>
</body>
</html>
"""
POLICY = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"


def error_page(error: MirrorError) -> bytes:
    """The page of an error, with what to do next, and links to what may have been meant."""
    more = f"<p>{escape(error.hint)}</p>\n" if error.hint else ""
    choices = error.facts.get("choices")
    if isinstance(choices, list):
        items = "".join(f'<li><a href="{escape(str(path))}">{escape(str(path))}</a></li>\n' for path in choices)
        more += f"<ul>\n{items}</ul>\n"
    return _PAGE.format(title=escape(error.title), status=error.status, detail=escape(error.detail), more=more).encode()


def prefers_page(accept: str) -> bool:
    """Whether an Accept field likes text/html best (RFC 9110 12.5.1); `*/*` alone, as programs send it, is no wish for a page."""
    weights = [_weight(part) for part in accept.lower().split(",") if part.strip()]
    html = max((weight for kind, weight in weights if kind == "text/html"), default=0.0)
    return html > 0 and all(weight <= html for _, weight in weights)


def _weight(part: str) -> tuple[str, float]:
    kind, *parameters = [piece.strip() for piece in part.split(";")]
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            try:
                return kind, float(value)
            except ValueError:
                return kind, 0.0
    return kind, 1.0
