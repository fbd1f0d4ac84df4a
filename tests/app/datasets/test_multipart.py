from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.datasets.multipart import MultipartFile
from app.errors import ValidationFailed

CONTENT_TYPE = "multipart/form-data; boundary=frontier"
FILE = b"u,i\r\n1,2\r\n--not the frontier\r\n3,4\r\n"


def _body(*parts: tuple[str, bytes], end: bool = True) -> bytes:
    made = b"".join(
        b"--frontier\r\nContent-Disposition: form-data; " + head.encode() + b"\r\n\r\n" + data + b"\r\n"
        for head, data in parts
    )
    return made + (b"--frontier--\r\n" if end else b"")


WHOLE = _body(
    ('name="name"', "Lög".encode()), ('name="file"; filename="a log.csv"', FILE), ('name="format"', b"csv")
)


def _read(body: bytes, step: int) -> tuple[bytes, dict[str, str]]:
    form = MultipartFile(CONTENT_TYPE)
    data = b"".join(form.take(body[start : start + step]) for start in range(0, len(body), step))
    return data, form.end()


@settings(deadline=None, max_examples=30)
@given(st.integers(1, len(WHOLE)))
def test_file_and_fields_in_any_pieces(step: int) -> None:
    assert _read(WHOLE, step) == (FILE, {"name": "Lög", "filename": "a log.csv", "format": "csv"})


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (_body(('name="file"; filename="a"', FILE), end=False), "broken_multipart"),
        (b"not multipart at all", "broken_multipart"),
        (b"", "broken_multipart"),
        (_body(('name="name"', b"x")), "missing_file"),
        (_body(('name="a"; filename="a"', b"x"), ('name="b"; filename="b"', b"y")), "several_files"),
        (_body(('name="name"', b"x" * 5000)), "invalid_request"),
        (_body(*[(f'name="n{n}"', b"x") for n in range(40)]), "broken_multipart"),
    ],
)
def test_what_is_refused(body: bytes, code: str) -> None:
    with pytest.raises(ValidationFailed) as raised:
        _read(body, 64)
    assert raised.value.code == code


@pytest.mark.parametrize("boundary", ["", "; boundary=", f"; boundary={'b' * 5000}"])
def test_no_usable_boundary(boundary: str) -> None:
    with pytest.raises(ValidationFailed, match="boundary"):
        MultipartFile(f"multipart/form-data{boundary}")
