"""A model's folder is of one version, or it cannot be loaded, wherever the download is cut."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.sdk import downloads
from app.sdk.client import SteadyRank
from app.sdk.errors import ServiceUnreachableError

NAMES = ("README.md", "config.json", "items.json", "weights.safetensors")


class Stored:
    """A service with one model, whose downloads can be cut."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.cut = ""
        self.fetched: list[str] = []

    def handle(self, request: httpx.Request) -> httpx.Response:
        if "/files/" not in request.url.path:
            return httpx.Response(200, json=self.model())
        name = request.url.path.rpartition("/")[2]
        if name == self.cut:
            raise httpx.ReadError("cut")
        self.fetched.append(name)
        return httpx.Response(200, content=self.files[name])

    def model(self) -> dict[str, Any]:
        return {
            "id": "mdl_1",
            "files": [
                {"path": name, "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
                for name, data in self.files.items()
            ],
        }


@pytest.fixture
def stored() -> Stored:
    return Stored()


@pytest.fixture
def models(stored: Stored) -> Any:
    transport = httpx.MockTransport(stored.handle)
    client = SteadyRank("http://service.test", max_retries=0, transport=transport, sleep=lambda _: None)
    return client.models


def version(number: int, same_config: bool = False) -> dict[str, bytes]:
    files = {name: f"{name} of {number}".encode() for name in NAMES}
    return files | ({"config.json": b"the same"} if same_config else {})


def held(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.suffix != ".part"}


@pytest.mark.parametrize("same_config", [False, True])
def test_a_cut_download_leaves_the_version_that_was_there(stored, models, tmp_path, same_config) -> None:
    stored.files = version(1, same_config)
    models.download("mdl_1", tmp_path)
    stored.files, stored.cut = version(2, same_config), "weights.safetensors"
    with pytest.raises(ServiceUnreachableError):
        models.download("mdl_1", tmp_path)
    assert held(tmp_path) == version(1, same_config)
    stored.cut, stored.fetched = "", []
    models.download("mdl_1", tmp_path)
    assert held(tmp_path) == version(2, same_config)
    assert stored.fetched == ["weights.safetensors"], "what had arrived is not fetched again"
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(NAMES)


@pytest.mark.parametrize(
    ("same_config", "done"), [(same, done) for same in (False, True) for done in range(5)]
)
def test_cut_between_renames_it_cannot_be_loaded(stored, models, tmp_path, *, same_config, done) -> None:
    stored.files = version(1, same_config)
    models.download("mdl_1", tmp_path)
    stored.files = version(2, same_config)
    left = done

    def replace(path: Path, target: Path) -> Path:
        nonlocal left
        if left == 0:
            raise KeyboardInterrupt
        left -= 1
        return original(path, target)

    original = Path.replace
    with pytest.MonkeyPatch.context() as cutting:
        cutting.setattr(downloads.Path, "replace", replace)
        try:
            models.download("mdl_1", tmp_path)
        except KeyboardInterrupt:
            now = held(tmp_path)
            assert "config.json" not in now or now in (version(1, same_config), version(2, same_config))
    stored.fetched = []
    models.download("mdl_1", tmp_path)
    assert held(tmp_path) == version(2, same_config)
    assert stored.fetched == []
