from __future__ import annotations

import hashlib
from collections.abc import Iterator

import httpx
import pytest

from app.sdk.downloads import download, safe_target
from app.sdk.errors import IntegrityError, NotFoundError, ServiceUnreachableError

WHOLE = bytes(range(256)) * 40
SHA256 = hashlib.sha256(WHOLE).hexdigest()


class Cut(httpx.SyncByteStream):
    """A body that breaks off."""

    def __init__(self, block: bytes) -> None:
        self.block = block

    def __iter__(self) -> Iterator[bytes]:
        yield self.block
        raise httpx.ReadError("cut")


def serve(request: httpx.Request) -> httpx.Response:
    """What the service answers: 206 for a range of this very file, else all of it."""
    wanted = request.headers.get("Range")
    if wanted is None or request.headers.get("If-Range") != f'"{SHA256}"':
        return httpx.Response(200, content=WHOLE)
    start = int(wanted.removeprefix("bytes=").removesuffix("-"))
    return httpx.Response(206, content=WHOLE[start:])


def fetch(client, target, **options) -> None:
    download(client._transport, "/file", target, size=len(WHOLE), sha256=SHA256, **options)


def test_a_file_arrives_whole(script, client, tmp_path):
    script.answers = [serve]
    seen: list[int] = []
    fetch(client, tmp_path / "a" / "file.bin", on_bytes=seen.append)
    assert (tmp_path / "a" / "file.bin").read_bytes() == WHOLE
    assert seen[-1] == len(WHOLE)
    assert list((tmp_path / "a").iterdir()) == [tmp_path / "a" / "file.bin"]
    assert script.requests[0].headers["Accept-Encoding"] == "identity"


def test_a_cut_download_goes_on_where_it_broke(script, client, tmp_path):
    script.answers = [
        httpx.Response(200, stream=Cut(WHOLE[:1000])),
        httpx.Response(206, stream=Cut(WHOLE[1000:5000])),
        serve,
    ]
    fetch(client, tmp_path / "file.bin")
    assert (tmp_path / "file.bin").read_bytes() == WHOLE
    assert [request.headers.get("Range") for request in script.requests] == [
        None,
        "bytes=1000-",
        "bytes=5000-",
    ]


def test_a_later_process_goes_on_from_the_part(script, client, tmp_path):
    (tmp_path / "file.bin.part").write_bytes(WHOLE[:3000])
    script.answers = [serve]
    fetch(client, tmp_path / "file.bin")
    assert script.requests[0].headers["Range"] == "bytes=3000-"
    assert (tmp_path / "file.bin").read_bytes() == WHOLE


def test_another_files_part_is_thrown_away(script, client, tmp_path):
    (tmp_path / "file.bin.part").write_bytes(b"x" * 3000)
    script.answers = [serve, serve]
    fetch(client, tmp_path / "file.bin")
    assert (tmp_path / "file.bin").read_bytes() == WHOLE


def test_a_range_that_the_service_does_not_take_starts_anew(script, client, tmp_path):
    (tmp_path / "file.bin.part").write_bytes(b"x" * 3000)
    script.answers = [httpx.Response(200, content=WHOLE)]
    fetch(client, tmp_path / "file.bin")
    assert (tmp_path / "file.bin").read_bytes() == WHOLE


def test_wrong_bytes_are_never_kept(script, client, tmp_path):
    script.answers = [httpx.Response(200, content=WHOLE[:-1] + b"!")]
    with pytest.raises(IntegrityError):
        fetch(client, tmp_path / "file.bin")
    assert list(tmp_path.iterdir()) == []


def test_a_right_file_is_not_fetched_again_and_a_wrong_one_is(script, client, tmp_path):
    (tmp_path / "file.bin").write_bytes(WHOLE)
    fetch(client, tmp_path / "file.bin")
    assert script.requests == []
    (tmp_path / "file.bin").write_bytes(b"x" * len(WHOLE))
    script.answers = [serve]
    fetch(client, tmp_path / "file.bin")
    assert (tmp_path / "file.bin").read_bytes() == WHOLE


def test_it_gives_up_when_no_byte_comes_and_keeps_what_is_there(script, client, tmp_path):
    script.answers = [httpx.Response(200, stream=Cut(WHOLE[:1000]))] + [
        httpx.Response(206, stream=Cut(b"")) for _ in range(3)
    ]
    with pytest.raises(ServiceUnreachableError, match="3 times in a row"):
        fetch(client, tmp_path / "file.bin", attempts=3)
    assert (tmp_path / "file.bin.part").read_bytes() == WHOLE[:1000]


def test_a_missing_file_is_the_services_404(script, client, tmp_path):
    script.answers = [httpx.Response(404, json={"code": "file_not_found", "detail": "no"})]
    with pytest.raises(NotFoundError):
        fetch(client, tmp_path / "file.bin")


@pytest.mark.parametrize("path", ["../evil", "/etc/passwd", "a/../../evil", "", "a\\..\\evil", "C:evil"])
def test_a_file_never_leaves_the_folder(tmp_path, path):
    with pytest.raises(IntegrityError):
        safe_target(tmp_path, path)


def test_a_file_in_a_sub_folder_is_fine(tmp_path):
    assert safe_target(tmp_path, "sub/file") == tmp_path / "sub" / "file"
