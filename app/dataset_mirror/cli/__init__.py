"""Commands: one file per verb. Exit codes: 0 done, 1 not all of it, 2 wrong usage, 130 after Ctrl-C."""

import logging
import sys
from gc import disable, enable, freeze
from importlib import import_module

import click

from dataset_mirror.cli.exits import exits_of
from dataset_mirror.cli.streams import drop_rest, prepare

_log = logging.getLogger(__name__)

COMMANDS = (
    *("serve", "fetch", "add", "ls", "status", "explain", "verify", "rm", "gc"),
    *("check", "wanted", "export", "import", "have", "adopt", "keras-home"),
    *("pin", "unpin", "du", "top", "log", "clients", "report", "share", "unshare"),
    *("run", "presets", "doctor", "demo", "completion", "man"),
)
"""Each verb is the module of that name (with `_` for `-`), imported only when it is used, so that every command starts fast."""

_MODULES = {"import": "importing", "demo": "demo.command", "doctor": "doctor.command"}
"""A keyword cannot be a module's name, and two verbs are folders."""


INTERRUPTED = 130
"""The exit status of what Ctrl-C ended: 128 and the number of SIGINT, as shells have it."""


class _Verbs(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module = _MODULES.get(cmd_name, cmd_name.replace("-", "_"))
        disable()  # all that is loaded stays: to look for garbage in it is a tenth of the start
        command: click.Command = import_module(f"dataset_mirror.cli.{module}").command
        command.epilog = command.epilog or exits_of(cmd_name)
        freeze()
        enable()
        return command

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except (KeyboardInterrupt, click.Abort) as error:
            if isinstance(error, click.Abort) and not isinstance(error.__context__, KeyboardInterrupt):
                raise  # somebody said no, or nobody was there to be asked
            click.echo("dataset-mirror: Interrupted.", err=True)
            ctx.exit(INTERRUPTED)

    def resolve_command(self, ctx: click.Context, args: list[str]) -> tuple[str | None, click.Command | None, list[str]]:
        from difflib import get_close_matches

        near = get_close_matches(args[0], COMMANDS, n=1) if args else []
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            hint = f" Did you mean {near[0]}?" if near else ""
            ctx.fail(f"There is no command {args[0]!r}.{hint}")
        return super().resolve_command(ctx, args)


@click.command(cls=_Verbs, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="dataset-mirror", prog_name="dataset-mirror", message="%(prog)s %(version)s")
def _group() -> None:
    """A local mirror of dataset archives: fetched once, verified, kept, and served at the URLs that clients already ask for.

    Start with: dataset-mirror demo (needs no internet), or dataset-mirror serve.
    """


program = _group
"""All commands as one."""


def main(args: list[str] | None = None) -> None:
    """The console script. Every error is a sentence on standard error, never a traceback."""
    if sys.platform == "win32":
        sys.exit("dataset-mirror needs Linux or macOS; on Windows it runs inside WSL or Docker.")
    from dataset_mirror.errors import BadRequest, MirrorError, UsageError
    from dataset_mirror.rules.secrets import without_secrets

    prepare()
    try:
        sys.exit(_group.main(args, prog_name="dataset-mirror", standalone_mode=True))
    except MirrorError as error:
        click.echo(f"dataset-mirror: {without_secrets(str(error))}", err=True)
        sys.exit(2 if isinstance(error, (UsageError, BadRequest)) else 1)
    except OSError as error:  # a file that may not be read, a full disk behind `>`: whatever no command expects there
        _log.debug("The system said no.", exc_info=error)
        what = f"{error.filename} cannot be used" if error.filename else "Something cannot be read or written"
        click.echo(f"dataset-mirror: {what}: {error.strerror or error}.", err=True)
        drop_rest()
        sys.exit(1)
