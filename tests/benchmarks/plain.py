"""The plain way: FastAPI and FileResponse, for reference."""

import os
from pathlib import Path

from fastapi import FastAPI
from fastapi.responses import FileResponse

app = FastAPI()
ROOT = Path(os.environ.get("FILES", "."))


@app.get("/{path:path}")
async def serve(path: str) -> FileResponse:
    """A file of the folder FILES."""
    return FileResponse(ROOT / path)
