"""Settings that are lists, and of which one value may stand without its list."""


def as_list(value: object) -> object:
    """A string as a list of one; anything else as it is."""
    return [value] if isinstance(value, str) else value
