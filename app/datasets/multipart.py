"""One file and some short fields out of a multipart body, as it streams by.

FastAPI's UploadFile would spool the whole body first; this keeps the fields, and hands the file's bytes on.
"""

from __future__ import annotations

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from app.errors import ErrorItem, ValidationFailed

_LONGEST_FIELD_BYTES = 4096
_MOST_PARTS = 32
_LONGEST_BOUNDARY_BYTES = 70  # RFC 2046


class MultipartFile:
    """Feed it the body; `take` returns the file's bytes, `end` the fields, the file's name among them."""

    def __init__(self, content_type: str) -> None:
        boundary = parse_options_header(content_type)[1].get(b"boundary")
        if not boundary:
            raise _broken("its Content-Type names no boundary")
        self._fields: dict[str, str] = {}
        self._file = bytearray()
        self._files = self._parts = 0
        self._ended = False
        self._headers: dict[str, bytes] = {}
        self._header_name = bytearray()
        self._header_value = bytearray()
        self._field: str | None = None
        self._value = bytearray()
        if len(boundary) > _LONGEST_BOUNDARY_BYTES:
            raise _broken(f"its boundary is longer than {_LONGEST_BOUNDARY_BYTES} bytes")
        self._parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._part_begin,
                "on_header_field": self._header_field,
                "on_header_value": self._header_text,
                "on_header_end": self._header_end,
                "on_headers_finished": self._headers_finished,
                "on_part_data": self._part_data,
                "on_part_end": self._part_end,
                "on_end": self._end,
            },
        )

    def take(self, data: bytes) -> bytes:
        """The bytes of the file that stand in these bytes of the body."""
        try:
            self._parser.write(data)
        except FormParserError as error:
            raise _broken(str(error)) from error
        taken = bytes(self._file)
        self._file.clear()
        return taken

    def end(self) -> dict[str, str]:
        """The fields, once the body is at its end. ValidationFailed when it is not whole or has no file."""
        if not self._ended:
            raise _broken("it ends before its last boundary")
        if not self._files:
            raise ValidationFailed(
                "The form has no file.", code="missing_file", hint="Send one: curl -F file=@log.csv"
            )
        return self._fields

    def _part_begin(self) -> None:
        self._parts += 1
        if self._parts > _MOST_PARTS:
            raise _broken(f"it has more than {_MOST_PARTS} parts")
        self._headers.clear()
        self._value.clear()
        self._field = None

    def _header_field(self, data: bytes, start: int, end: int) -> None:
        self._header_name += data[start:end]

    def _header_text(self, data: bytes, start: int, end: int) -> None:
        self._header_value += data[start:end]

    def _header_end(self) -> None:
        self._headers[self._header_name.decode("latin-1").lower()] = bytes(self._header_value)
        self._header_name.clear()
        self._header_value.clear()

    def _headers_finished(self) -> None:
        _, options = parse_options_header(self._headers.get("content-disposition", b""))
        if b"filename" in options:
            self._files += 1
            if self._files > 1:
                raise ValidationFailed(
                    "The form has more than one file.",
                    code="several_files",
                    hint="Send one data set a request; join files that are parts of one log.",
                )
            filename = options[b"filename"].decode("utf-8", "replace")
            if filename:
                self._fields["filename"] = filename
            return
        self._field = options.get(b"name", b"").decode("utf-8", "replace")

    def _part_data(self, data: bytes, start: int, end: int) -> None:
        if self._field is None:
            self._file += data[start:end]
            return
        self._value += data[start:end]
        if len(self._value) > _LONGEST_FIELD_BYTES:
            item = ErrorItem("/" + self._field, "out_of_range", f"longer than {_LONGEST_FIELD_BYTES} bytes")
            raise ValidationFailed(
                "A field of the form is too long.",
                errors=[item],
                hint="A file needs a file name: -F file=@log.csv",
            )

    def _part_end(self) -> None:
        if self._field is not None:
            self._fields[self._field] = self._value.decode("utf-8", "replace")

    def _end(self) -> None:
        self._ended = True


def _broken(why: str) -> ValidationFailed:
    return ValidationFailed(
        f"The multipart body is broken: {why}.",
        code="broken_multipart",
        hint="Let the client make the form: curl -F file=@log.csv; or send the file itself as the body.",
    )
