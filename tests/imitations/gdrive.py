"""Google Drive's shared files, as far as clients see: where they are asked for, the page that asks back, the refusals."""

from __future__ import annotations

import base64
import hashlib
import secrets
from dataclasses import dataclass, field
from urllib.parse import quote

from tests.imitations.server import Answer, Asked, Said

DRIVE, DOCS, CONTENT = "drive.google.com", "docs.google.com", "drive.usercontent.google.com"
PAGE = {"Content-Type": "text/html; charset=utf-8", "Cache-Control": "no-cache, no-store, max-age=0, must-revalidate"}
WARNING = """<!DOCTYPE html><html><head><title>Google Drive - Virus scan warning</title></head><body><div class="uc-main">
<p class="uc-warning-caption">Google Drive can't scan this file for viruses.</p>
<p class="uc-warning-subcaption"><span class="uc-name-size"><a href="/open?id={id}">{name}</a> ({size})</span> is too large.</p>
<form id="download-form" action="https://drive.usercontent.google.com/download" method="get">
<input type="submit" id="uc-download-link" class="goog-inline-block jfk-button" value="Download anyway"/>
<input type="hidden" name="id" value="{id}"><input type="hidden" name="export" value="download">
<input type="hidden" name="confirm" value="t"><input type="hidden" name="uuid" value="{uuid}"></form></div></body></html>"""
OLDER = """<!DOCTYPE html><html><head><title>Google Drive - Virus scan warning</title></head><body>
<a id="uc-download-link" class="jfk-button" href="/uc?export=download&amp;confirm={word}&amp;id={id}">Download anyway</a></body></html>"""
QUOTA = """<!DOCTYPE html><html><head><title>Google Drive - Quota exceeded</title></head><body><div id="uc-text">
<p class="uc-error-caption">Sorry, you can&#39;t view or download this file at this time.</p>
<p class="uc-error-subcaption">Too many users have viewed or downloaded this file recently. Please try accessing the file again
later.</p></div></body></html>"""


@dataclass
class Shared:
    """A file. `asks_back`: it is too large for the scan, and a page comes first; "older": as that was until 2022, with a cookie."""

    name: str
    content: bytes
    asks_back: bool | str = False
    is_busy: bool = False
    is_private: bool = False


@dataclass
class Drive:
    """Files by their id."""

    files: dict[str, Shared] = field(default_factory=dict)

    @property
    def sites(self) -> dict[str, Answer]:
        return {DRIVE: self.front, DOCS: self.front, CONTENT: self.content}

    def front(self, asked: Asked) -> Said:
        """Where links lead: on to where the bytes are."""
        file = self.files.get(asked.query.get("id", ""))
        if file is None or asked.raw_path not in ("/uc", "/u/0/uc"):
            return Said(404, PAGE, b"<html><title>Error 404 (Not Found)!!1</title></html>")
        if file.is_private:
            return Said(302, {**PAGE, "Location": f"https://accounts.google.com/ServiceLogin?continue={quote(asked.target, safe='')}"})
        if file.asks_back == "older":
            return self._older(asked, file)
        there = f"https://{CONTENT}/download?id={asked.query['id']}&export=download"
        return Said(303, {**PAGE, "Location": there})

    def _older(self, asked: Asked, file: Shared) -> Said:
        word, number = "aBc9", asked.query["id"]
        if asked.query.get("confirm") == word and f"download_warning_1_{number}={word}" in asked.fields.get("cookie", ""):
            return self._sent(file)
        cookie = f"download_warning_1_{number}={word}; Path=/uc; Domain={asked.fields.get('host', DRIVE).split(':')[0]}"
        return Said(200, {**PAGE, "Set-Cookie": cookie.partition("; Domain")[0]}, OLDER.format(word=word, id=number).encode())

    def content(self, asked: Asked) -> Said:
        """Where the bytes are."""
        number = asked.query.get("id", "")
        file = self.files.get(number)
        if file is None or asked.raw_path not in ("/download", "/uc"):
            return Said(404, PAGE, b"<html><title>Error 404 (Not Found)!!1</title></html>")
        if file.is_busy:
            return Said(200, PAGE, QUOTA.encode())
        if file.asks_back and asked.query.get("confirm") != "t":
            said = WARNING.format(id=number, name=file.name, size="1.2G", uuid=secrets.token_hex(8))
            return Said(200, PAGE, said.encode())
        return self._sent(file)

    def _sent(self, file: Shared) -> Said:
        md5 = base64.b64encode(hashlib.md5(file.content, usedforsecurity=False).digest()).decode()
        fields = {
            "Content-Type": "application/octet-stream",
            "Content-Disposition": f"attachment; filename=\"{file.name}\"; filename*=UTF-8''{quote(file.name)}",
            "Accept-Ranges": "bytes",
            "Last-Modified": "Wed, 23 Nov 2022 10:00:00 GMT",
            "Cache-Control": "private, max-age=0",
            "X-Goog-Hash": f"md5={md5}",
            "Cross-Origin-Resource-Policy": "same-site",
            "Content-Security-Policy": "sandbox",
        }
        return Said(200, fields, file.content, whole=True)
