"""Behind a company's proxy: that of the environment is named, and taken where that is asked for."""

from __future__ import annotations

import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from dataset_mirror.errors import UsageError
from dataset_mirror.rules.company import Company, company_proxy
from dataset_mirror.settings import load
from tests import warm
from tests.serving import HOST, PROGRAM, URL, Mirror, environment


@pytest.fixture
def refusing() -> Iterator[str]:
    """A proxy that wants NTLM; its address."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def answer() -> None:
            while True:
                try:
                    connection, _ = listening.accept()
                except OSError:
                    return
                with connection:
                    connection.recv(4096)
                    connection.sendall(b"HTTP/1.1 407 No\r\nProxy-Authenticate: NTLM\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")

        thread = threading.Thread(target=answer)
        thread.start()
        yield f"127.0.0.1:{listening.getsockname()[1]}"
        listening.shutdown(socket.SHUT_RDWR)
    thread.join(warm.PATIENCE)


def greeting(data: Path, known: dict[str, str], *options: str) -> str:
    """What `serve` says at its start."""
    command = [PROGRAM, "serve", "--data", str(data), "--port", "0", *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment(data, {}) | known, cwd=data.parent) as process:
        assert process.stdout is not None
        said = ""
        while "Try:" not in said:
            said += process.stdout.readline()
        process.terminate()
    return said


def test_one_that_is_not_used(tmp_path: Path) -> None:
    """`serve` names a proxy of the environment that it does not use, without its password, and how to use it."""
    said = greeting(tmp_path / "data", {"HTTPS_PROXY": "http://me:secret@proxy.corp:3128"})
    assert "the environment has a proxy, proxy.corp:3128, which is not used. To use it: --upstream-proxy env" in said
    assert "secret" not in said


def test_it_is_taken(tmp_path: Path) -> None:
    """--upstream-proxy env takes it."""
    known = {"https_proxy": "http://me:secret@proxy.corp:3128", "no_proxy": "localhost"}
    said = greeting(tmp_path / "data", known, "--upstream-proxy", "env")
    assert "through the proxy proxy.corp:3128" in said
    assert "secret" not in said


def test_a_407_is_told(refusing: str, tmp_path: Path) -> None:
    """What a proxy wants that is not had is told to the client, in /status and in the log."""
    known = {"origins": [{"url": URL, "paths": ["/sets/"]}], "upstream_proxy": f"http://{refusing}", "archives": []}
    with Mirror(tmp_path / "data", **known) as mirror:
        answer = mirror.archive("/sets/a.bin")
        assert (answer.status, "407" in answer.problem["detail"], "NTLM" in answer.problem["hint"]) == (504, True, True)
        (failure,) = mirror.status["failures"]
        assert "407" in failure["detail"]
        assert "(407)" in mirror.log
    assert HOST in failure["url"]


def test_the_setting(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """In mirror.toml "env" takes the environment's proxy and its exceptions, beside those of `no_proxy`; without one none."""
    for name in ("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY", "http_proxy", "no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    file = tmp_path / "mirror.toml"
    file.write_text('upstream_proxy = "env"\nno_proxy = "a.lab"\n')
    assert load(file).settings.upstream_proxy is None
    monkeypatch.setenv("HTTPS_PROXY", "proxy.corp:3128")
    monkeypatch.setenv("NO_PROXY", "localhost, .corp,10.0.0.0/8,,[bad")
    settings = load(file).settings
    assert (settings.upstream_proxy, settings.no_proxy) == ("http://proxy.corp:3128", ("a.lab", "localhost", ".corp", "10.0.0.0/8"))
    monkeypatch.setenv("HTTPS_PROXY", "socks5://proxy.corp:1080")
    with pytest.raises(UsageError, match="begins with http"):
        load(file)


def test_a_mirrors_own_setup() -> None:
    """A shell that setup.sh led through a mirror does not name a company's proxy; its password is in no word about it."""
    assert company_proxy({"https_proxy": "http://ca:0123456789abcdef@mirror.lab:8080"}) is None
    assert company_proxy({}) is None
    assert Company("http://me:secret@proxy.corp:3128", ()).place == "proxy.corp:3128"
