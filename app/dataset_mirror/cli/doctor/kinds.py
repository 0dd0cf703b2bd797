"""Each kind of client that is installed here, tried: one HEAD of an archive, as that client sends it through its own environment."""

import shutil
import subprocess
import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from dataset_mirror.rules.environment import ARIA2

SECONDS = 15.0
"""For each of them; they run side by side."""
_AT_ONCE = 8
_PYTHON = {
    "urllib": "from urllib.request import urlopen, Request; print(urlopen(Request({url!r}, method='HEAD')).headers)",
    "requests": "import requests; r = requests.head({url!r}); r.raise_for_status(); print(r.headers)",
    "httpx": "import httpx; r = httpx.head({url!r}); r.raise_for_status(); print(r.headers)",
    "aiohttp": """
import aiohttp, asyncio
async def ask():
    async with aiohttp.ClientSession(trust_env=True) as session, session.head({url!r}) as answer:
        answer.raise_for_status()
        print(answer.headers)
asyncio.run(ask())""",
    "huggingface_hub": """
import huggingface_hub.utils as hub
answer = hub.get_session().head({url!r})
answer.raise_for_status()
print(answer.headers)""",
    "pip": """
import os, runpy, sys
os.environ.update(PIP_EXTRA_INDEX_URL={host!r}, PIP_FIND_LINKS=os.devnull)
sys.argv[1:] = "index versions -vv --disable-pip-version-check --retries 0 --timeout 10 dataset-mirror --index-url".split() + [{host!r}]
runpy.run_module("pip", run_name="__main__")""",
}
# pip looks in one index only: those of pip.conf may be far away, and a variable that is empty does not take their place.
_NODE = """
if (Number(process.versions.node.split('.')[0]) < 24) { console.error('knows no proxy before version 24'); process.exit(1) }
fetch(URL_, {method: 'HEAD'}).then(r => { console.log([...r.headers].join('\\n')); process.exit(r.ok ? 0 : 1) },
    e => { console.error(String(e.cause || e)); process.exit(1) })"""
_OURS = "dataset-mirror"
_UNREACHED = ("proxy", "resolve", "resolution", "connection error", "t connect to", "timed out", "unreachable")
_ASK_OF_HOST = ("git", "python pip")


@dataclass(frozen=True, slots=True)
class Kind:
    """How one kind of client fared: through the mirror, past it, or not at all, and what helps."""

    name: str
    state: str
    hint: str = ""


def try_all(url: str, known: Mapping[str, str], again: str) -> list[Kind]:
    """All that are installed, in order; `again` is the command that sets up a shell. Takes at most some SECONDS."""
    commands = _commands(url, known)
    with ThreadPoolExecutor(_AT_ONCE) as workers:
        return list(workers.map(lambda one: _tried(one[0], one[1], known, again), commands.items()))


def _commands(url: str, known: Mapping[str, str]) -> dict[str, list[str]]:
    """What to run for each; a Python package only where it is installed for the `python3` that is found first."""
    python = shutil.which("python3", path=known.get("PATH")) or sys.executable
    host = url.rpartition(urlsplit(url).path)[0] + "/"  # git and pip find neither a repository nor an index there, and say so
    conf = Path(known.get("SSL_CERT_FILE", "")).parent / ARIA2
    found = {
        "curl": ["curl", "-sSfI", url],
        "wget": ["wget", "-S", "--spider", "-T", "10", "-t", "1", url],
        "git": ["git", "ls-remote", host],
        "aria2": [
            "aria2c",
            "--dry-run",
            "--allow-overwrite",
            *([f"--conf-path={conf}"] if conf.is_absolute() and conf.exists() else []),
            url,
        ],
        "node": ["node", "-e", f"const URL_ = {url!r};{_NODE}"],
        "conda": ["conda", "--version"],
    }
    installed = {name: command for name, command in found.items() if shutil.which(command[0], path=known.get("PATH"))}
    return installed | {f"python {name}": [python, "-c", _guarded(name, text.format(url=url, host=host))] for name, text in _PYTHON.items()}


def _guarded(name: str, text: str) -> str:
    module = "urllib.request" if name == "urllib" else name
    return f"import importlib.util, sys\nif importlib.util.find_spec({module!r}) is None: sys.exit(99)\n{text}"


def _tried(name: str, command: list[str], known: Mapping[str, str], again: str) -> Kind:
    try:
        done = subprocess.run(command, env=dict(known), capture_output=True, text=True, errors="replace", timeout=SECONDS, check=False)
    except subprocess.TimeoutExpired:
        return Kind(name, "no answer in time", again)
    except OSError as error:
        return Kind(name, f"cannot be run: {error.strerror}", "Install it again.")
    return _judged(name, done, again)


def _judged(name: str, done: "subprocess.CompletedProcess[str]", again: str) -> Kind:
    said = done.stdout + done.stderr
    if done.returncode == 99:
        return Kind(name, "not installed")
    if name == "conda":
        return Kind(name, "installed; it takes HTTPS_PROXY and CONDA_SSL_VERIFY")
    if name in _ASK_OF_HOST and not _is_of_tls(said) and not _is_of_network(said):
        return Kind(name, "gets through")  # that it finds nothing there is right
    if done.returncode == 0:
        if name in (*_ASK_OF_HOST, "aria2"):
            return Kind(name, "gets through")
        through = _OURS in said.lower()
        return Kind(name, "gets it from the mirror") if through else Kind(name, "goes past the mirror", _of_proxy(name, again))
    lines = [line.strip() for line in said.splitlines() if line.strip()] or [f"exit status {done.returncode}"]
    last = next((line for line in lines if _is_of_tls(line) or _is_of_network(line)), lines[-1])
    return Kind(name, f"fails: {last[:160]}", _of_proxy(name, again) if not _is_of_tls(said) else f"It does not trust the mirror. {again}")


def _is_of_tls(said: str) -> bool:
    return any(word in said.lower() for word in ("certificate", "ssl", "self-signed", "self signed"))


def _is_of_network(said: str) -> bool:
    return any(word in said.lower() for word in _UNREACHED)


def _of_proxy(name: str, again: str) -> str:
    return "Use node 24 or later." if name == "node" else again
