"""`man`: the manual page, made of the help of all commands."""

import re
from collections.abc import Iterator
from importlib.metadata import version

import click

from dataset_mirror.settings import Settings


@click.command(name="man")
@click.option("--plain", is_flag=True, help="Print only the names of the commands, one per line.")
def command(plain: bool) -> None:
    """Print the manual page: dataset-mirror man | man -l -, or into /usr/local/share/man/man1/dataset-mirror.1."""
    from dataset_mirror.cli import COMMANDS, program

    click.echo("\n".join(COMMANDS if plain else _page(program)))


def _page(group: click.Group) -> Iterator[str]:
    context = click.Context(group, info_name="dataset-mirror")
    yield f'.TH DATASET\\-MIRROR 1 "" "dataset\\-mirror {version("dataset-mirror")}" "User Commands"'
    yield ".SH NAME\ndataset\\-mirror \\- a local mirror of dataset archives"
    yield ".SH SYNOPSIS\n.B dataset\\-mirror\n.I COMMAND\n.RI [ OPTIONS ]"
    yield ".SH DESCRIPTION"
    yield from _paragraphs(group.help or "")
    yield ".SH COMMANDS"
    for name in group.list_commands(context):
        if found := group.get_command(context, name):
            yield from _command(found, click.Context(found, parent=context, info_name=name))
    yield ".SH ENVIRONMENT"
    yield "Each setting of mirror.toml can be given as a variable, in capitals after DATASET_MIRROR_:"
    for name, field in Settings.model_fields.items():
        yield f".TP\n.B DATASET_MIRROR_{name.upper()}\n{_plain(field.description or name)}"
    yield ".TP\n.B DATASET_MIRROR_URL\nThe mirror that commands work with.\n.TP\n.B NO_COLOR\nNo colours, if it is set."
    yield ".SH FILES\n.TP\n.I mirror.toml\nThe configuration, in the data folder."
    yield ".TP\n.I archives.ndjson\nOne line per publication; the index is rebuilt from it.\n.TP\n.I pins.json\nWhat is pinned."
    yield ".SH EXIT STATUS\n0 if all was done, 1 if not all of it, 2 for wrong usage, 130 after Ctrl\\-C;"
    yield "each command says where it differs."


def _command(found: click.Command, context: click.Context) -> Iterator[str]:
    yield f".SS {_plain(context.command_path)} {_plain(' '.join(found.collect_usage_pieces(context)))}"
    yield from _paragraphs(found.help or "")
    for parameter in found.get_params(context):
        record = parameter.get_help_record(context)
        if record is not None:
            yield f".TP\n.B {_plain(record[0])}\n{_plain(record[1] or ' ')}"
    yield from _paragraphs(found.epilog or "")


def _paragraphs(text: str) -> Iterator[str]:
    """Paragraphs of a help text; one that begins with `\\b` keeps its lines."""
    for paragraph in re.split(r"\n\s*\n", text.strip()):
        lines = [line.strip() for line in paragraph.splitlines()]
        if lines and lines[0] == "\b":
            yield ".PP\n.nf\n" + "\n".join(_plain(line) for line in lines[1:]) + "\n.fi"
        elif paragraph.strip():
            yield f".PP\n{_plain(' '.join(lines))}"


def _plain(text: str) -> str:
    """Words as roff takes them: no line of theirs is a request."""
    quoted = text.replace("\\", "\\e").replace("-", "\\-").replace("\N{HORIZONTAL ELLIPSIS}", "...")
    return re.sub(r"^([.'])", r"\\&\1", quoted, flags=re.MULTILINE)
