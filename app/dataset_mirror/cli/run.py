"""`run`: one program, with the mirror as its proxy."""

import os
import signal
import sys
from typing import NamedTuple, NoReturn

import click
import httpx

from dataset_mirror.cli import live
from dataset_mirror.cli.options import configured, mirror_option
from dataset_mirror.errors import OriginUnreachable, UsageError
from dataset_mirror.rules.environment import proxy_address, variables
from dataset_mirror.rules.marks import MARK_FIELD
from dataset_mirror.serve.access import GUARD_FIELD
from dataset_mirror.settings import Configuration
from dataset_mirror.upkeep.trusting import make_bundle

_NOT_FOUND, _NOT_RUN = 127, 126
"""Exit codes of shells for a program that is not there, or cannot be run (POSIX 2.8.2)."""


@click.command(name="run", context_settings={"allow_interspersed_args": False})
@mirror_option("The mirror's address", "the live server of the data folder")
@click.option("--http", is_flag=True, help="Proxy plain HTTP as well.")
@click.argument("program", nargs=-1, required=True, type=click.UNPROCESSED, metavar="-- PROGRAM [ARGUMENTS...]")
@configured
def command(configuration: Configuration, mirror: str | None, http: bool, program: tuple[str, ...]) -> None:
    """Run a program whose downloads come through the mirror, without changing it: dataset-mirror run -- python train.py

    It gets the environment of /setup.sh, takes this process' place, and so has its signals and its exit code.
    """
    address = mirror_address(configuration, mirror)
    authority = authority_of(address)
    place = make_bundle(address, authority.pem, os.environ)
    become(program, {**os.environ, **variables(address, place, os.environ, http=http, mark=authority.mark)})


def mirror_address(configuration: Configuration, named: str | None) -> str:
    """The mirror that was named, else the live server of the data folder. UsageError if there is none."""
    address = named or live.found(configuration.settings)
    if address is None:
        raise UsageError(
            f"No mirror serves {configuration.settings.data.absolute()}.",
            "Start one, dataset-mirror serve, or name one: --mirror http://mirror.lab:8080",
        )
    return proxy_address(address)


class Authority(NamedTuple):
    """A mirror's certificate authority in PEM, and the mark for the proxy's URL, where one is needed."""

    pem: bytes
    mark: str | None


def authority_of(address: str) -> Authority:
    """The mirror's certificate authority. OriginUnreachable if what answers is no mirror."""
    try:
        with httpx.Client(trust_env=False, timeout=10) as client:
            answer = client.get(f"{address}/ca.pem", headers={GUARD_FIELD: "1"})
    except httpx.HTTPError as error:
        raise live.unreachable(address, error) from None
    if answer.status_code != 200 or not answer.content.startswith(b"-----BEGIN CERTIFICATE-----"):
        raise OriginUnreachable(f"What answers at {address} has no certificate authority ({answer.status_code}).", "Check the address.")
    return Authority(answer.content, answer.headers.get(MARK_FIELD))


def become(program: tuple[str, ...], environment: dict[str, str]) -> NoReturn:
    """Replaces this process by the program; ends with a shell's exit codes if that cannot be."""
    for number in (signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(number, signal.SIG_DFL)  # Python ignores them, and a program would inherit that
    sys.stdout.flush()
    try:
        os.execvpe(program[0], program, environment)
    except OSError as error:
        click.echo(f"dataset-mirror: {program[0]} cannot be run: {error.strerror}.", err=True)
        sys.exit(_NOT_FOUND if isinstance(error, FileNotFoundError) else _NOT_RUN)
