"""`/setup.sh` in real shells, and Hosts that would like to be more than a host."""

from __future__ import annotations

import json
import shutil
import socket
import ssl
import stat
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from dataset_mirror.rules import environment as names
from tests.conftest import StartMirror
from tests.serving import PATIENCE, Mirror, environment

SHELLS = {"sh": ["sh", "-c"], "dash": ["dash", "-c"], "bash": ["bash", "-c"], "zsh": ["zsh", "-c"], "zsh, interactive": ["zsh", "-fic"]}
FENCE = "---- what is set ----"
SET = (*names.PROXY, *names.EXCEPT, *names.TRUST, names.WGET, *names.SWITCHES)
HOSTILE = (
    "x';touch${IFS}/tmp/pwn;'",
    "x$(touch pwn)",
    "x`touch pwn`",
    "x\ty",
    "x;y",
    "x&y",
    "x|y",
    "x\\",
    'x"y',
    "x y",
    "user@host",
    "x/y",
    "x?y",
    "[::1",
    "[::1];y",
    "[::ffff:1.2.3.4.5]",
    "x:99999",
    "x:-1",
    "-x",
    "",
    "x" * 300,
    "café",
)


@pytest.fixture(scope="module")
def shared(start_shared_mirror: StartMirror) -> Mirror:
    """A mirror of the preset's hosts."""
    return start_shared_mirror()


@pytest.fixture(params=SHELLS)
def shell(request: pytest.FixtureRequest) -> list[str]:
    """A shell's command, to which the script is added."""
    command = SHELLS[request.param]
    if shutil.which(command[0]) is None:
        pytest.skip(f"{command[0]} is not installed")
    return command


def evaluated(
    url: str, home: Path, before: str = "", query: str = "", shell: Sequence[str] = SHELLS["sh"], known: Mapping[str, str] | None = None
) -> tuple[dict[str, str], str]:
    """The environment once a shell has evaluated the script, and what was said on standard error."""
    home.mkdir(exist_ok=True)
    outside = {name: value for name, value in environment(home, {}).items() if name not in SET}
    text = f"""{before}\neval "$(curl -fsS '{url}/setup.sh{query}')"\necho '{FENCE}'\nenv\n"""
    done = subprocess.run(
        [*shell, text],
        cwd=home,
        env=outside | dict(known or {}),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
        start_new_session=True,
    )
    assert FENCE in done.stdout, done.stderr
    lines = done.stdout.partition(FENCE + "\n")[2].splitlines()
    return dict(line.split("=", 1) for line in lines if "=" in line), done.stderr


def authorities(file: str | Path) -> list[str]:
    """The certificates in a file."""
    begin = "-----BEGIN CERTIFICATE-----"
    return [part.partition("-----END")[0].strip() for part in Path(file).read_text().split(begin)[1:]]


def test_every_shell(shared: Mirror, tmp_path: Path, shell: list[str]) -> None:
    """Each shell gets the proxy, the exceptions and the bundle, and nothing else; a second time changes nothing."""
    once, said = evaluated(shared.url, tmp_path, shell=shell)
    twice, _ = evaluated(shared.url, tmp_path, f"""eval "$(curl -fsS '{shared.url}/setup.sh')" 2>/dev/null""", shell=shell)
    assert once == twice
    assert {once[name] for name in names.PROXY} == {shared.url}
    assert {once[name] for name in names.EXCEPT} == {"127.0.0.1,localhost,::1"}
    assert len({once[name] for name in names.TRUST}) == 1
    assert {name: once[name] for name in names.SWITCHES} == names.SWITCHES
    assert not {name for name in once if name.lower().startswith("dataset_mirror") or name in names.PLAIN_PROXY}
    assert "answers for data.example.org, huggingface.co, storage.googleapis.com, www.cs.toronto.edu" in said
    assert "SHA-256 " in said


@pytest.mark.parametrize("options", ["set -eu", "set -C", "alias mv='mv -i' cat='cat -n' mkdir=false", "set -f"])
def test_a_shell_with_options(shared: Mirror, tmp_path: Path, options: str) -> None:
    """A shell that ends at errors or unset variables, spares files, or has aliases is led as well, and keeps its options."""
    known, _ = evaluated(shared.url, tmp_path, f'{options}\necho "$-" > before', shell=SHELLS["bash"])
    assert authorities(known["SSL_CERT_FILE"])


def test_the_bundle(shared: Mirror, tmp_path: Path) -> None:
    """The bundle is what the client trusted before and the mirror's authority; nobody else may read it."""
    company = tmp_path / "company.pem"
    company.write_bytes(shared.get("/ca.pem").body.rstrip())  # some certificate, and no newline at its end
    known, _ = evaluated(shared.url, tmp_path / "home", known={"SSL_CERT_FILE": str(company)})
    again, _ = evaluated(shared.url, tmp_path / "home", known=known)
    bundle = Path(known["SSL_CERT_FILE"])
    assert again["SSL_CERT_FILE"] == str(bundle)
    ours = authorities(company)
    assert authorities(bundle) == ours * 2
    ssl.create_default_context(cafile=str(bundle))
    cache = tmp_path / "home" / ".cache" / "dataset-mirror"
    assert [stat.S_IMODE(path.stat().st_mode) for path in (cache, bundle.parent, bundle)] == [0o700, 0o700, 0o600]
    assert sorted(path.name for path in bundle.parent.iterdir()) == ["aria2.conf", "ca-bundle.pem", "own.pem", "own.wgetrc", "wgetrc"]
    assert not list(cache.glob("new.*"))


def test_authorities_of_other_clients(shared: Mirror, tmp_path: Path) -> None:
    """An authority that only one client knew is not lost; another mirror's bundle counts as what it was made from."""
    company = tmp_path / "company.pem"
    company.write_text(ssl.DER_cert_to_PEM_cert(b"company"))
    first, _ = evaluated(shared.url, tmp_path / "home", known={"REQUESTS_CA_BUNDLE": str(company)})
    assert authorities(company)[0] in authorities(first["SSL_CERT_FILE"])
    other = shared.url.replace("127.0.0.1", "localhost")
    second, _ = evaluated(other, tmp_path / "home", known=first)
    assert second["SSL_CERT_FILE"] != first["SSL_CERT_FILE"]
    assert authorities(second["SSL_CERT_FILE"]) == authorities(first["SSL_CERT_FILE"])


def test_what_is_set_already(shared: Mirror, tmp_path: Path) -> None:
    """Hosts that were reached without a proxy stay so, from either variable; the mirror is one of them."""
    known, _ = evaluated(shared.url, tmp_path, known={"no_proxy": "a.lab,localhost", "NO_PROXY": ".b.lab"})
    assert known["no_proxy"] == known["NO_PROXY"] == "a.lab,localhost,.b.lab,127.0.0.1,::1"


def test_plain_http(shared: Mirror, tmp_path: Path) -> None:
    """Plain http is led this way only if that was asked for."""
    known, _ = evaluated(shared.url, tmp_path, query="?http=1")
    assert {known[name] for name in names.PLAIN_PROXY} == {shared.url}
    assert shared.get("/setup.sh?http=perhaps").status == 400


def test_another_proxy(shared: Mirror, tmp_path: Path) -> None:
    """A proxy that was set before is replaced, which is said once, without its name or password."""
    known, said = evaluated(shared.url, tmp_path, known={"https_proxy": "http://me:secret@proxy.lab:3128"})
    assert {known[name] for name in names.PROXY} == {shared.url}
    assert "takes the place of the proxy that was set" in said
    assert "secret" not in said
    assert "takes the place" not in evaluated(shared.url, tmp_path, known=known)[1]


def test_a_script_that_is_cut(shared: Mirror, tmp_path: Path, shell: list[str]) -> None:
    """What is cut on the way does nothing, wherever it was cut."""
    script = shared.get("/setup.sh").body.decode()
    lines = script.splitlines(keepends=True)
    place = tmp_path / "home"
    place.mkdir()
    for count in (len(lines) // 2, len(lines) - 12, len(lines) - 1):
        done = subprocess.run(
            [*shell, """eval "$(cat "$1")"; env""", "shell", str(written(tmp_path, "".join(lines[:count])))],
            env=environment(place, {}) | {"HTTPS_PROXY": ""},
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
            start_new_session=True,
        )
        assert shared.url not in done.stdout
    assert list(place.iterdir()) == []


def written(folder: Path, text: str) -> Path:
    """A file with that text."""
    file = folder / "script"
    file.write_text(text)
    return file


def test_wget(shared: Mirror, tmp_path: Path) -> None:
    """wget's own file stays in force, and names the bundle at its end."""
    (tmp_path / ".wgetrc").write_text("user_agent = mine")
    known, _ = evaluated(shared.url, tmp_path, f"""eval "$(curl -fsS '{shared.url}/setup.sh')" """)
    assert Path(known["WGETRC"]).read_text() == f"user_agent = mine\nca_certificate = {known['SSL_CERT_FILE']}\n"


def test_what_single_clients_need(shared: Mirror, tmp_path: Path) -> None:
    """What makes clients of their own mind heed the proxy is set, JSON as it must be; what was set before stays."""
    known, _ = evaluated(shared.url, tmp_path, known={"HF_HUB_DISABLE_XET": "0"})
    assert json.loads(known["FSSPEC_HTTPS"]) == {"client_kwargs": {"trust_env": True}}
    assert (known["NLTK_ALLOW_PROXIED_URLOPEN"], known["NODE_USE_ENV_PROXY"], known["HF_HUB_DISABLE_XET"]) == ("1", "1", "0")


@pytest.mark.parametrize("place", names.ARIA2_HOMES)
def test_aria2(shared: Mirror, tmp_path: Path, place: str) -> None:
    """aria2 gets a configuration: its own, with the bundle at its end; a shell that has it is told how to use it."""
    own = tmp_path / place
    own.parent.mkdir(parents=True)
    own.write_text("continue=true")
    known, said = evaluated(shared.url, tmp_path)
    file = Path(known["SSL_CERT_FILE"]).with_name("aria2.conf")
    assert file.read_text() == f"continue=true\nca-certificate={known['SSL_CERT_FILE']}\n"
    assert (f"--conf-path={file}" in said) is (shutil.which("aria2c") is not None)


def test_no_place_for_the_bundle(shared: Mirror, tmp_path: Path) -> None:
    """Without a folder for the bundle nothing is set, which is said; the shell goes on."""
    (tmp_path / "file").write_text("")
    known, said = evaluated(shared.url, tmp_path, known={"XDG_CACHE_HOME": str(tmp_path / "file")})
    assert not set(SET) & known.keys()
    assert "nothing was set" in said


def test_a_cache_folder_with_odd_characters(shared: Mirror, tmp_path: Path) -> None:
    """Spaces and quotes in the client's own paths are only characters."""
    odd = tmp_path / "it's $(touch pwn) `here`"
    odd.mkdir()
    known, _ = evaluated(shared.url, tmp_path, known={"XDG_CACHE_HOME": str(odd)})
    assert known["SSL_CERT_FILE"].startswith(str(odd))
    assert authorities(known["SSL_CERT_FILE"])
    assert not (tmp_path / "pwn").exists()


def asked(mirror: Mirror, *hosts: str) -> bytes:
    """The whole answer to a request with these Host fields, as they stand."""
    fields = "".join(f"Host: {host}\r\n" for host in hosts)
    with socket.create_connection(("127.0.0.1", mirror.port), timeout=PATIENCE) as connection:
        connection.sendall(f"GET /setup.sh HTTP/1.1\r\n{fields}Connection: close\r\n\r\n".encode())
        return b"".join(iter(lambda: connection.recv(65536), b""))


@pytest.mark.parametrize("host", HOSTILE)
def test_a_hostile_host(shared: Mirror, host: str) -> None:
    """A Host that is more than a host and a port is refused, and nothing of it is in a script."""
    answer = asked(shared, host)
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"export" not in answer


def test_two_hosts(shared: Mirror) -> None:
    """Two Hosts are none."""
    assert asked(shared, "a.lab", "b.lab").startswith(b"HTTP/1.1 400 ")
    assert asked(shared).startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize("host", ["mirror.lab:8080", "10.0.0.1", "[2001:db8::1]:8080"])
def test_a_plain_host(shared: Mirror, host: str) -> None:
    """A name, an address, and an IPv6 literal are taken as they are; the exception has neither port nor brackets."""
    head, _, text = asked(shared, host).partition(b"\r\n\r\n")
    fields = head.decode().lower().split("\r\n")
    assert {"cache-control: no-store", "vary: host"} <= set(fields)
    assert f"export HTTPS_PROXY='http://{host}'\n" in text.decode()
    assert f"add '{names.host_of('http://' + host)}'\n" in text.decode()


def test_a_forwarded_host_is_not_believed(shared: Mirror) -> None:
    """Fields of a proxy in front say nothing of the address."""
    answer = shared.get("/setup.sh", fields={"X-Forwarded-Host": "evil.lab", "Forwarded": "host=evil.lab", "X-Forwarded-Proto": "https"})
    assert answer.status == 200
    assert b"evil" not in answer.body
    assert f"HTTPS_PROXY='{shared.url}'".encode() in answer.body


def test_a_public_url(start_mirror: StartMirror) -> None:
    """The operator's own address goes before any Host; one with a path can be no proxy, which is said."""
    mirror = start_mirror(public_url="http://mirror.lab:8080")
    assert b"HTTPS_PROXY='http://mirror.lab:8080'" in asked(mirror, "other.lab")
    under_a_path = start_mirror(public_url="http://lab/mirror")
    assert "cannot be a proxy" in under_a_path.get("/setup.sh").problem["detail"]


def test_a_head(shared: Mirror) -> None:
    """HEAD has the head alone."""
    answer = shared.get("/setup.sh", "HEAD")
    assert (answer.status, answer.body, answer.fields["content-type"]) == (200, b"", "text/x-shellscript; charset=utf-8")


def test_the_key_stays(shared: Mirror) -> None:
    """Nothing private is in the script."""
    assert b"PRIVATE" not in shared.get("/setup.sh").body
    assert (shared.data / "ca" / "key.pem").stat().st_mode & 0o77 == 0
