"""The application that `benchmarks.api` measures; it imports no more than the service does."""

from __future__ import annotations

from fastapi import FastAPI
from fastapi.responses import FileResponse

from app import main
from app.config import Settings


def create_app() -> FastAPI:
    """The application with the two routes that it is measured against; the file is in the data folder."""
    settings = Settings()
    application = main.create_app(settings)
    file = settings.data_dir / "file.bin"

    @application.get("/v1/empty", include_in_schema=False)
    async def empty() -> dict[str, str]:
        return {}

    @application.get("/v1/file", include_in_schema=False)
    async def content() -> FileResponse:
        return FileResponse(file)

    return application
