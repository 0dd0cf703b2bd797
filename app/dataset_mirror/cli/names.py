"""What a shell proposes for an argument that names archives."""

import click
from click.shell_completion import CompletionItem


def names_of_catalog(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Names of the catalog that begin so; none if the configuration is wrong. No mirror is asked."""
    from dataset_mirror.errors import MirrorError
    from dataset_mirror.settings import load

    try:
        origins = load().origins
    except MirrorError:
        return []
    return [CompletionItem(name) for name in sorted({entry.name for entry in origins.catalog if entry.name.startswith(incomplete)}) if name]
