"""`completion`: what makes a shell complete commands, options and names."""

import click
from click.shell_completion import get_completion_class

_HOW = {
    "bash": 'Put it into ~/.bashrc: eval "$(dataset-mirror completion bash)"',
    "zsh": 'Put it into ~/.zshrc, after compinit: eval "$(dataset-mirror completion zsh)"',
    "fish": "dataset-mirror completion fish > ~/.config/fish/completions/dataset-mirror.fish",
}


@click.command(name="completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.option("--how", is_flag=True, help="Say how the shell gets it, instead.")
def command(shell: str, how: bool) -> None:
    """Print a script that makes SHELL complete commands, options and catalog names.

    \b
    bash   eval "$(dataset-mirror completion bash)"    in ~/.bashrc
    zsh    eval "$(dataset-mirror completion zsh)"     in ~/.zshrc, after compinit
    fish   dataset-mirror completion fish > ~/.config/fish/completions/dataset-mirror.fish
    """
    if how:
        click.echo(_HOW[shell])
        return
    kind = get_completion_class(shell)
    assert kind is not None
    script = kind(click.Group(), {}, "dataset-mirror", "_DATASET_MIRROR_COMPLETE")
    # Its `source` asks the bash of this machine for its version; the script is for whichever shell reads it.
    click.echo(script.source_template % script.source_vars())
