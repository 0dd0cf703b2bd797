"""GitHub as programs that download see it: raw files, archives of repositories, assets of releases, lists of branches."""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field

from tests.imitations.server import Answer, Asked, Said
from tests.imitations.web import found, missing, static

WEB, RAW, CODE = "github.com", "raw.githubusercontent.com", "codeload.github.com"
API, ASSETS = "api.github.com", "release-assets.githubusercontent.com"


@dataclass
class GitHub:
    """`raw` and `assets` by path, archives of repositories by `/OWNER/NAME/REF`."""

    raw: Mapping[str, bytes] = field(default_factory=dict)
    assets: Mapping[str, bytes] = field(default_factory=dict)
    archives: Mapping[str, bytes] = field(default_factory=dict)

    @property
    def sites(self) -> dict[str, Answer]:
        return {WEB: self.web, RAW: static(self.raw), CODE: self.code, API: self.api, ASSETS: self.asset}

    def web(self, asked: Asked) -> Said:
        """Redirects to where the bytes are; an asset's place is signed afresh each time."""
        path = asked.raw_path
        if path in self.assets:
            query = f"sp=r&sv=2018-11-09&sr=b&se=2030-01-01&rsct=application%2Foctet-stream&sig={secrets.token_hex(16)}"
            number = hashlib.md5(path.encode(), usedforsecurity=False).hexdigest()
            return Said(
                302, {"Location": f"https://{ASSETS}/github-production-release-asset/{number}?{query}", "Cache-Control": "no-cache"}
            )
        owner, name, kind, ref = [*path[1:].split("/", 3), "", "", "", ""][:4]
        if kind == "zipball" and f"/{owner}/{name}/{ref}" in self.archives:
            return Said(302, {"Location": f"https://{CODE}/{owner}/{name}/legacy.zip/{ref}", "Cache-Control": "max-age=0, private"})
        return missing(asked)

    def code(self, asked: Asked) -> Said:
        """An archive of a repository: chunked in truth, without a length and without a tag that lasts."""
        owner, name, _, ref = asked.raw_path[1:].split("/", 3)
        content = self.archives.get(f"/{owner}/{name}/{ref}")
        if content is None:
            return missing(asked)
        fields = {
            "Content_Disposition": f"attachment; filename={owner}-{name}-{ref}.zip",
            "ETag": f'W/"{hashlib.sha256(content).hexdigest()}"',
        }
        return found(content, "application/zip", **fields)

    def asset(self, asked: Asked) -> Said:
        """An asset of a release."""
        for path, content in self.assets.items():
            if hashlib.md5(path.encode(), usedforsecurity=False).hexdigest() in asked.raw_path:
                name = path.rpartition("/")[2]
                return found(content, ETag='"0x8DC"', Content_Disposition=f"attachment; filename={name}")
        return missing(asked)

    def api(self, asked: Asked) -> Said:
        """`/repos/OWNER/NAME/branches` and `/tags`, in pages."""
        _, _, owner, name, kind = [*asked.raw_path.split("/"), "", "", ""][:5]
        refs = [path.rpartition("/")[2] for path in self.archives if path.startswith(f"/{owner}/{name}/")]
        if not refs:
            return missing(asked)
        listed = [{"name": ref, "commit": {"sha": "0" * 40}} for ref in refs] if kind == "tags" and asked.query.get("page") == "1" else []
        return Said(200, {"Content-Type": "application/json; charset=utf-8", "ETag": f'W/"{kind}"'}, json.dumps(listed).encode())
