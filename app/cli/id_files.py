"""Files with one id a line, read so that every id stays exactly as it is in the data."""

from __future__ import annotations

from pathlib import Path

from app.cli.exits import UsageProblemError


def read_ids(file: Path) -> list[str]:
    r"""The lines of a UTF-8 file that are not empty.

    Only \n and \r\n end a line: what else Unicode takes for an end, such as U+2028, may be part of an id. A
    byte order mark, as spreadsheets write it, is part of none. UsageProblemError if it is no such text.
    """
    try:
        text = file.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageProblemError(
            f"{file} is not UTF-8 text: byte {error.object[error.start]:#04x} at offset {error.start}",
            hint="Save it as UTF-8, so that no id is taken for another.",
        ) from error
    lines = (line.removesuffix("\r") for line in text.split("\n"))
    return [line for line in lines if line]
