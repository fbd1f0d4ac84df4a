"""`Content-Digest` (RFC 9530): what the sender says the body's SHA-256 is.

That header, rather than one of our own making: it is the standard, it names its algorithm, and the answer can
say by `Want-Content-Digest` what is understood.
"""

from __future__ import annotations

import base64
import binascii
import re

from app.errors import ErrorItem, SteadyRankError, ValidationFailed

HEADER = "Content-Digest"
_MEMBER = re.compile(r"\s*([a-z*][a-z0-9_.*-]*)\s*=\s*:([A-Za-z0-9+/=]*):\s*")
_POINTER = "header:content-digest"
_HINT = "Send `Content-Digest: sha-256=:<the 32 bytes in base64>:`, or leave the header out."
_SHA256_BYTES = 32


class DigestMismatchError(SteadyRankError):
    """Bytes arrived that are not those that were announced; they were not kept."""

    status = 422
    code = "digest_mismatch"
    title = "Digest does not match"
    retryable = True


def wanted_sha256(header: str | None) -> str | None:
    """The SHA-256 in hex that the header gives, or None without a header.

    Raises:
        ValidationFailed: It is malformed (`invalid_digest`), or has no sha-256 (`unsupported_digest`): what
            cannot be checked is refused, not ignored.

    """
    if header is None:
        return None
    found: dict[str, str] = {}
    for member in header.split(","):
        match = _MEMBER.fullmatch(member)
        if match is None:
            raise _refused("invalid_digest", "not a dictionary of digests as RFC 9530 has it", header)
        found[match[1]] = match[2]
    if "sha-256" not in found:
        raise _refused("unsupported_digest", "has no sha-256, the only digest that is checked", header)
    try:
        digest = base64.b64decode(found["sha-256"], validate=True)
    except binascii.Error:
        digest = b""
    if len(digest) != _SHA256_BYTES:
        raise _refused("invalid_digest", "the sha-256 is not 32 bytes in base64", header)
    return digest.hex()


def _refused(code: str, message: str, got: str) -> ValidationFailed:
    item = ErrorItem(_POINTER, code, message, got[:200], _HINT)
    headers = {"Want-Content-Digest": "sha-256=10"}
    return ValidationFailed(f"{HEADER}: {message}.", code=code, hint=_HINT, errors=[item], headers=headers)
