"""The hosts that an origin may redirect to: `host`, `host:port`, or `*.host` for all below it."""

from dataset_mirror.errors import BadRequest
from dataset_mirror.origins.identity import normalise_authority

_CUSTOMERS = """
    amazonaws.com cloudfront.net awsglobalaccelerator.com elasticbeanstalk.com azureedge.net azurefd.net azurewebsites.net
    cloudapp.net windows.net core.windows.net googleapis.com appspot.com run.app web.app firebaseapp.com cloudfunctions.net
    github.io gitlab.io pages.dev workers.dev r2.dev cloudflarestorage.com digitaloceanspaces.com ondigitalocean.app
    backblazeb2.com wasabisys.com b-cdn.net fastly.net fastlylb.net akamaized.net akamaihd.net edgekey.net edgesuite.net
    herokuapp.com vercel.app netlify.app onrender.com fly.dev ngrok.io ngrok.app aliyuncs.com myqcloud.com ovh.net
"""
"""Whose names below belong to their customers. AWS and Azure put a region or a service before the customer's name, too."""
_SHARED = frozenset(_CUSTOMERS.split())
_SHARED_DEEP = (".amazonaws.com", ".core.windows.net", ".aliyuncs.com", ".myqcloud.com", ".googleapis.com")
_SECOND_LEVEL = "ac co com edu gob gouv gov go gv id me mil mod ne net nhs nic nom or org plc sch school"
"""What stands before a country's letters where everybody registers one level deeper: co.uk, com.au, ac.jp."""


def redirect_host(written: str) -> str:
    """An entry of `redirects_to` in its normal form. ValueError if it is none, or if it could mean other people's hosts."""
    below, host = written.startswith("*."), written.removeprefix("*.")
    try:
        authority = normalise_authority(host)
    except BadRequest:
        raise ValueError(f'{written!r} is not a host; write "cdn.example.org", or "*.example.org" for all below it') from None
    if below and not _is_one_organisation(authority.partition(":")[0]):
        raise ValueError(f"{written} would allow hosts of other organisations; name the hosts that are meant")
    return f"*.{authority}" if below else authority


def _is_one_organisation(domain: str) -> bool:
    """Whether all names below the domain are, as far as can be told from it, in one organisation's hands."""
    labels = domain.split(".")
    if len(labels) < 2 or labels[-1].isdecimal() or not all(labels):
        return False
    if len(labels) == 2 and len(labels[1]) == 2 and labels[0] in _SECOND_LEVEL.split():
        return False
    return domain not in _SHARED and not f".{domain}".endswith(_SHARED_DEEP)


def allows(listed: str, authority: str) -> bool:
    """Whether an entry of `redirects_to` is for that authority: the very one, or, with `*.`, any below it at the same port."""
    if not listed.startswith("*."):
        return listed == authority
    return authority.endswith(listed[1:])
