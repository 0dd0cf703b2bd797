"""What stands behind a page's name in its path, as the client wrote it: an archive's name is not to be decoded."""

from fastapi import Request


def raw_below(request: Request, page: str) -> str:
    """The rest of the path, not decoded; `page` may stand below others."""
    path: bytes = request.scope.get("raw_path") or request.scope["path"].encode()
    return path.partition(b"?")[0].decode("latin-1").partition(page)[2]
