"""The clients of the table of truth: each unmodified, led to the mirror by `/setup.sh` alone. `python -m tests.clients.doors` prints it."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Literal

KERAS_2 = """
import hashlib, sys
from urllib.request import urlopen
url, place = sys.argv[1:]
response = urlopen(url, None)
with open(place + "/file", "wb") as file:
    while chunk := response.read(8192):
        file.write(chunk)
"""
TORCHVISION = """
import sys, urllib.request
url, place = sys.argv[1:]
agent = {"User-Agent": "pytorch/vision"}
with urllib.request.urlopen(urllib.request.Request(url, headers={"Method": "HEAD", **agent})) as response:
    url = response.url
with urllib.request.urlopen(urllib.request.Request(url, headers=agent)) as response, open(place + "/file", "wb") as file:
    while chunk := response.read(1024 * 32):
        file.write(chunk)
"""
GET_FILE = """
import os, shutil, sys
import keras
url, place = sys.argv[1:]
folder = keras.utils.get_file(origin=url, extract=True)
found = [os.path.join(parent, name) for parent, _, names in os.walk(folder) for name in names]
(inner,) = [name for name in found if name.endswith("inner.bin")]
shutil.copy(inner, place + "/file")
"""
URLLIB = "import sys, urllib.request as u; u.urlretrieve(sys.argv[1], sys.argv[2] + '/file')"
REQUESTS = """
import requests, sys
answer = requests.get(sys.argv[1], stream=True)
answer.raise_for_status()
with open(sys.argv[2] + "/file", "wb") as file:
    for chunk in answer.iter_content(65536):
        file.write(chunk)
"""
HTTPX = "import httpx, sys; open(sys.argv[2] + '/file', 'wb').write(httpx.get(sys.argv[1]).raise_for_status().content)"
AIOHTTP = """
import aiohttp, asyncio, sys
async def main():
    async with aiohttp.ClientSession(trust_env=True, raise_for_status=True) as session, session.get(sys.argv[1]) as answer:
        open(sys.argv[2] + "/file", "wb").write(await answer.read())
asyncio.run(main())
"""
POOCH = """
import pooch, shutil, sys
url, place = sys.argv[1:]
base, _, name = url.rpartition("/")
files = pooch.create(path=place + "/cache", base_url=base + "/", registry={name: None})
assert files.is_available(name)
shutil.copy(files.fetch(name), place + "/file")
"""
SCIKIT_LEARN = """
import sys
from sklearn.datasets._base import RemoteFileMetadata, _fetch_remote
_fetch_remote(RemoteFileMetadata("file", sys.argv[1], None), sys.argv[2], n_retries=0)
"""

NODE = """
const [url, place] = process.argv.slice(1);
fetch(url).then((answer) => answer.arrayBuffer()).then((body) => require("fs").writeFileSync(place + "/file", Buffer.from(body)));
"""

Apart = Literal["", "git", "pip"]


@dataclass(frozen=True)
class Client:
    """A row: a program that gets URL into PLACE/file, as Python source (`source`) or as a command.

    `packages` and the command's first word have to be there. `apart`: it reaches another host, in a network of its own.
    """

    name: str
    works: str
    how: str
    source: str = ""
    command: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()
    archive: str = "file.bin"
    apart: Apart = ""

    @property
    def path(self) -> str:
        """The path of the archive that is its own."""
        return f"/sets/{''.join(letter for letter in self.name.lower() if letter.isalnum())}/{self.archive}"

    def arguments(self, url: str, place: str, trust: str = "") -> list[str]:
        """The program, as subprocess takes it; TRUST in a command is the folder of the bundle."""
        if self.source:
            return [sys.executable, "-c", self.source, url, place]
        return [word.replace("URL", url).replace("PLACE", place).replace("TRUST", trust) for word in self.command]


KERAS = ("keras", "openvino")

CLIENTS = (
    Client(
        "Keras 3, `keras.datasets`",
        "yes",
        "`load_data()` of genuine bytes, checked by Keras' own digest",
        packages=KERAS,
    ),
    Client("Keras 3, `keras.utils.get_file`", "yes", "with `extract=True`", GET_FILE, packages=KERAS, archive="file.tar.gz"),
    Client(
        "Keras 2, `tf_keras`", "yes, reproduced", "its download loop, call by call; TensorFlow itself is too large for these tests", KERAS_2
    ),
    Client("`urllib.request`", "yes", "Python 3.6 to 3.13", URLLIB),
    Client("`requests`", "yes", "streamed", REQUESTS, packages=("requests",)),
    Client("`httpx`", "yes", "`httpx.get`", HTTPX, packages=("httpx",)),
    Client("`aiohttp`", "yes", "only with `ClientSession(trust_env=True)`: else it knows no proxy", AIOHTTP, packages=("aiohttp",)),
    Client("pooch", "yes", "GET, and HEAD for `is_available`", POOCH, packages=("pooch", "requests")),
    Client("torchvision", "yes, reproduced", "its two GETs, call by call; PyTorch itself is too large for these tests", TORCHVISION),
    Client(
        "scikit-learn",
        "yes",
        "its fetcher; the mirror follows redirects",
        SCIKIT_LEARN,
        packages=("sklearn",),
        archive="redirected",
    ),
    Client("curl", "yes", "`curl -fo`", command=("curl", "-fsS", "-o", "PLACE/file", "URL")),
    Client("wget", "yes", "with GnuTLS, too: by `WGETRC`", command=("wget", "-q", "--tries=1", "-O", "PLACE/file", "URL")),
    Client(
        "aria2",
        "yes",
        "with the `--conf-path` that `setup.sh` names",
        command=("aria2c", "-q", "--conf-path=TRUST/aria2.conf", "-d", "PLACE", "-o", "file", "URL"),
    ),
    Client(
        "node ≥ 24, `fetch`",
        "yes",
        "by `NODE_USE_ENV_PROXY`; older ones know no proxy",
        command=("node", "-e", NODE, "URL", "PLACE"),
    ),
    Client("git", "yes, relayed", "`git ls-remote` of a host that is no origin", command=("git",), apart="git"),
    Client("pip", "yes, relayed", "`pip download` from a host that is no origin", packages=("pip",), apart="pip"),
)


def table() -> str:
    """The rows in Markdown."""
    rows = [("client", "works", "how"), ("---", "---", "---"), *((client.name, client.works, client.how) for client in CLIENTS)]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


if __name__ == "__main__":
    sys.stdout.write(table())
