"""Content-Digest as RFC 9530 has it."""

from __future__ import annotations

import base64
import hashlib

import pytest

from app.errors import ValidationFailed
from app.uploads.digests import wanted_sha256

DIGEST = hashlib.sha256(b"x").digest()
GIVEN = f"sha-256=:{base64.b64encode(DIGEST).decode()}:"


@pytest.mark.parametrize("header", [GIVEN, f" {GIVEN} ", f"sha-512=:AAAA:, {GIVEN}", f"{GIVEN},md5=:AA==:"])
def test_the_sha256_among_digests(header: str) -> None:
    assert wanted_sha256(header) == DIGEST.hex()


def test_the_example_of_the_rfc() -> None:
    """Appendix B.1: the digest of `{"hello": "world"}` and a line feed."""
    header = "sha-256=:RK/0qy18MlBSVnWgjwz6lZEWjP/lF5HF9bvEF8FabDg=:"
    assert wanted_sha256(header) == hashlib.sha256(b'{"hello": "world"}\n').hexdigest()


def test_no_header_is_no_digest() -> None:
    assert wanted_sha256(None) is None


@pytest.mark.parametrize(
    ("header", "code"),
    [
        ("", "invalid_digest"),
        ("sha-256", "invalid_digest"),
        (DIGEST.hex(), "invalid_digest"),
        ("sha-256=:AAAA:", "invalid_digest"),
        ("sha-256=:A:", "invalid_digest"),
        ("sha-512=:AAAA:", "unsupported_digest"),
    ],
)
def test_what_cannot_be_checked_is_refused(header: str, code: str) -> None:
    with pytest.raises(ValidationFailed) as refused:
        wanted_sha256(header)
    assert refused.value.code == code
    assert refused.value.headers["Want-Content-Digest"] == "sha-256=10"
    assert refused.value.errors[0].pointer == "header:content-digest"
