"""Lists of archives that people read, edit and carry: one URL or catalog name a line; `#` begins a comment."""


def entries(text: str) -> list[str]:
    """The entries of a list, in order, each once. A `#` that follows a character of an entry belongs to it."""
    stripped = (line.partition(" #")[0].partition("\t#")[0].strip() for line in text.splitlines())
    return list(dict.fromkeys(line for line in stripped if line and not line.startswith("#")))
