"""An error as a small page, for people whose browser asked for one: escaped, without scripts, and nothing is loaded."""

from base64 import b64encode
from hashlib import sha256
from html import escape

from dataset_mirror.errors import MirrorError
from dataset_mirror.rules.sentences import coded, with_lines
from dataset_mirror.rules.weights import weights

_STYLE = """
:root { color-scheme: light dark; --paper: #f6f6f3; --sheet: #fffefc; --ink: #1b2226; --line: #dcdad2; --accent: #0b5563; --bad: #a32b1f }
@media (prefers-color-scheme: dark) {
  :root { --paper: #12171a; --sheet: #191f23; --ink: #e7e9e6; --line: #2f383d; --accent: #86cbd9; --bad: #f29c8f }
}
body { max-width: 46rem; margin: 0 auto; padding: 1.5rem 1rem; background: var(--paper); color: var(--ink);
  font: 1rem/1.5 system-ui, sans-serif; overflow-wrap: anywhere }
main { padding: 0.4rem 1.2rem 0.8rem; border: 1px solid var(--line); border-left: 0.3rem solid var(--bad); border-radius: 0.5rem;
  background: var(--sheet) }
h1 { font-size: 1.5rem; line-height: 1.25 }
a { color: var(--accent) }
nav { padding: 1rem 0 }
code { font: 0.9em/1.5 ui-monospace, monospace }
pre { padding: 0.6rem 0.8rem; border: 1px solid var(--line); border-radius: 0.4rem; white-space: pre-wrap }
"""
"""The colours of the pages, whose files an error is not to need."""
_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1"><meta name="color-scheme" content="light dark">
<title>{title}</title><style>{style}</style></head>
<body>
<main>
<h1>{status} {title}</h1>
<p>{detail}</p>
{more}</main>
<nav aria-label="Pages"><a href="/">Overview of this dataset-mirror</a></nav>
</body>
</html>
"""
_DIGEST = b64encode(sha256(_STYLE.encode()).digest()).decode()
POLICY = f"default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; style-src 'sha256-{_DIGEST}'"
"""Nothing is loaded, and no style applies but that of the page (CSP 3, 2.3.1)."""


def error_page(error: MirrorError) -> bytes:
    """The page of an error, with what to do next, and links to what may have been meant."""
    words, lines = with_lines(error.hint)
    more = f"<p><strong>What to do:</strong> {coded(words)}</p>\n" if words else ""
    more += f"<pre><code>{escape(lines)}</code></pre>\n" if lines else ""
    choices = error.facts.get("choices")
    if isinstance(choices, list):
        items = "".join(f'<li><a href="{escape(str(path))}">{escape(str(path))}</a></li>\n' for path in choices)
        more += f"<ul>\n{items}</ul>\n"
    return _PAGE.format(style=_STYLE, title=escape(error.title), status=error.status, detail=coded(error.detail), more=more).encode()


def prefers_page(accept: str) -> bool:
    """Whether an Accept field likes text/html best (RFC 9110 12.5.1); `*/*` alone, as programs send it, is no wish for a page."""
    wanted = weights(accept)
    html = wanted.get("text/html", 0.0)
    return html > 0 and all(weight <= html for weight in wanted.values())
