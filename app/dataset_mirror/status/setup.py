"""`/setup.sh`: a script that leads the unmodified clients of a shell through the mirror."""

from collections.abc import Iterable
from functools import cache
from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response
from jinja2 import Environment, PackageLoader, StrictUndefined, Template

from dataset_mirror.doors.ca import CertificateAuthority
from dataset_mirror.mirror import Mirror
from dataset_mirror.rules import environment as names
from dataset_mirror.rules.host import own_address
from dataset_mirror.rules.marks import marked
from dataset_mirror.settings import Settings
from dataset_mirror.status.here import Authority, Here

_HOSTS_SHOWN = 12
_REPLACED = "dataset-mirror: takes the place of the proxy that was set; the mirror's own way out is its setting `upstream_proxy`."


class ShellScript(Response):
    """A script; never kept by caches, since it names the address that it was asked at."""

    media_type = "text/x-shellscript"


class _Bare(str):
    """A variable's name, which stands in a script as it is."""


router = APIRouter(tags=["trust"])


@router.get("/setup.sh", response_class=ShellScript)
@router.head("/setup.sh", response_class=ShellScript, include_in_schema=False)
def setup(
    mirror: Here,
    ca: Authority,
    request: Request,
    http: Annotated[bool, Query(description="whether plain http is to come this way, too")] = False,
) -> ShellScript:
    """For `eval "$(curl -fsS …/setup.sh)"`: the proxy, and the authorities of the client and of the mirror in one bundle."""
    # Forwarded fields are nobody's word here: `public_url` tells of a proxy in front.
    address = names.proxy_address(own_address(mirror.settings.public_url, request.url.scheme, request.headers.getlist("host")))
    written = script(address, ca.pem.decode(), said(mirror, ca), http=http, mark=ca.mark)
    return ShellScript(written, headers={"Cache-Control": "no-store", "Vary": "Host", "X-Content-Type-Options": "nosniff"})


def said(mirror: Mirror, ca: CertificateAuthority) -> list[str]:
    """What the script tells the person: what goes where, and whom the shell trusts from now on."""
    hosts = sorted(ca.hosts)
    more = f" and {len(hosts) - _HOSTS_SHOWN} more" if len(hosts) > _HOSTS_SHOWN else ""
    return [
        f"dataset-mirror: answers for {', '.join(hosts[:_HOSTS_SHOWN]) or 'no host'}{more}. {_rest(mirror.settings)}",
        f"dataset-mirror: this shell trusts its certificate authority for these hosts, SHA-256 {ca.fingerprint}",
        "dataset-mirror: hosts that are added later stay tunnelled in this shell until it evaluates setup.sh again.",
    ]


def _rest(settings: Settings) -> str:
    if settings.offline:
        return "It is offline: other hosts cannot be reached."
    if settings.tunnel == "public":
        return "All else that is public is relayed as it is."
    return f"Of other hosts it relays only: {', '.join(settings.tunnel)}." if settings.tunnel else "It relays no other host."


def script(address: str, pem: str, lines: Iterable[str], *, http: bool, mark: str | None = None) -> str:
    """The script for the mirror at `address`. Every value in it stands in single quotes.

    `mark` stands in the proxy's URL, and tells the mirror which certificate this shell trusts.
    """
    return _template().render(
        address=address,
        proxy=marked(address, mark),
        marked=marked(address, "*").split("*"),
        label=names.label(address),
        pem=pem.rstrip(),
        said=list(lines),
        replaced=_REPLACED,
        names=names,
        proxies=[_Bare(name) for name in names.PROXY + (names.PLAIN_PROXY if http else ())],
        trust=[_Bare(name) for name in names.TRUST],
        wget=_Bare(names.WGET),
        switches=[(_Bare(name), value) for name, value in names.SWITCHES.items()],
        around=names.no_proxy(address).split(","),
        except_=[_Bare(name) for name in names.EXCEPT],
    )


def _quoted(value: object) -> str:
    """In single quotes, where a shell reads nothing but a quote (POSIX 2.2.2)."""
    text = str(value)
    return text if isinstance(value, _Bare) else "'" + text.replace("'", "'\\''") + "'"


@cache
def _template() -> Template:
    environment = Environment(
        loader=PackageLoader("dataset_mirror.status"),
        finalize=_quoted,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        block_start_string="<%",
        block_end_string="%>",
        variable_start_string="<<",
        variable_end_string=">>",
        comment_start_string="<#",
        comment_end_string="#>",
    )
    return environment.get_template("setup.sh")
