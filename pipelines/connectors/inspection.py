"""One pass over the bytes of a file: its hash, lines, encoding; and a plain UTF-8 text of it.

The encoding is the declared one, else: byte order mark, strict UTF-8 over the whole file, cp1252.
A file that is UTF-8 but for a few bytes stays UTF-8; the lines that hold them are rejected.
"""

from __future__ import annotations

import codecs
import hashlib
import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from cohorte.said import said
from cohorte.sources import Feed
from pipelines.connectors.archive import ARCHIVE_MARKS, GZIP_MARK, first_bytes, unpack_gzip
from pipelines.connectors.ebcdic import is_ebcdic, register_codecs
from pipelines.connectors.extract import Delivery, QuarantineError
from pipelines.connectors.packed import packed_texts, without_packed

CHUNK = 1 << 20
DAMAGED_TOLERANCE = 10
LINE_MAXIMUM_BYTES = 16 * CHUNK
GLOB_CHARACTERS = "*?[]{}"
LINE_ENDS = {"\n": "\\n", "\r\n": "\\r\\n", "\r": "\\r"}
_BEYOND_ASCII = bytes(range(128, 256))
_BLANK_ENDS = {ord(end): " " for end in "\n\r\x85"}

BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


@dataclass(frozen=True)
class Inspection:
    """What is known of a text file before it is parsed.

    ``text_path`` is UTF-8 without compression: the file itself or a transcoded copy. ``lines``
    counts physical lines, a last one without line end included. ``is_damaged`` says that some
    bytes are not UTF-8.
    """

    text_path: Path
    encoding: str
    lines: int
    line_end: str
    is_uniform: bool
    has_nul: bool
    has_mark: bool
    is_damaged: bool
    ends_with_line_end: bool
    size: int
    longest: int = 0


@dataclass
class _Counts:
    lf: int = 0
    cr: int = 0
    crlf: int = 0
    nul: int = 0
    size: int = 0
    last: bytes = b""
    without_end: int = 0
    longest: int = 0

    def add(self, chunk: bytes) -> None:
        ends = self.lf + self.cr
        self.lf += chunk.count(b"\n")
        if b"\r" in chunk or self.last == b"\r":
            self.cr += chunk.count(b"\r")
            self.crlf += chunk.count(b"\r\n") + (self.last == b"\r" and chunk[:1] == b"\n")
        if b"\0" in chunk:
            self.nul += chunk.count(b"\0")
        self.size += len(chunk)
        self.without_end = 0 if self.lf + self.cr > ends else self.without_end + len(chunk)
        self.longest = max(self.longest, self.without_end)
        self.last = chunk[-1:] or self.last

    def line_end(self) -> str:
        if self.lf == 0 and self.cr:
            return "\r"
        return "\r\n" if self.lf and self.crlf == self.lf else "\n"

    def inspection(self, path: Path, encoding: str, is_damaged: bool, mark: bool) -> Inspection:
        end = self.line_end()
        ended = self.last == end[-1:].encode()
        lines = (self.cr if end == "\r" else self.lf) + (0 if ended or not self.size else 1)
        uniform = {
            "\n": self.cr == 0,
            "\r\n": self.crlf == self.lf == self.cr,
            "\r": self.lf == 0,
        }[end]
        return Inspection(
            text_path=path,
            encoding=encoding,
            lines=lines,
            line_end=end,
            is_uniform=uniform,
            has_nul=self.nul > 0,
            has_mark=mark,
            is_damaged=is_damaged,
            ends_with_line_end=ended,
            size=self.size,
            longest=self.longest,
        )


def content_hash(path: Path) -> str:
    """SHA-256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def inspect_text(delivery: Delivery, feed: Feed, temp_dir: Path) -> Inspection:
    """Inspect a text file; where it is not plain UTF-8, a copy in ``temp_dir`` is.

    Raises QuarantineError for an empty file, an encoding that does not hold, and a compressed
    file that is cut or swells beyond reason.
    """
    copy_path = temp_dir / f"{delivery.file_id}.txt"
    found = _inspect(delivery.whole_path, delivery.name, feed, copy_path)
    if found.longest > LINE_MAXIMUM_BYTES:
        raise QuarantineError(
            "line_too_long",
            said(
                "a line is over {line_maximum_bytes:,} bytes long: this is no text of records",
                line_maximum_bytes=LINE_MAXIMUM_BYTES,
            ),
            where=delivery.name,
            remedy=said("see what the file is, and export it again"),
        )
    return replace(found, text_path=plain_path(found.text_path, temp_dir, delivery.file_id))


def plain_path(path: Path, temp_dir: Path, file_id: int) -> Path:
    """A path that DuckDB reads as a name and no pattern: the file's own, or a link to it."""
    named = str(path)
    if named.isprintable() and not any(character in named for character in GLOB_CHARACTERS):
        return path
    link = temp_dir / f"{file_id}.link"
    link.unlink(missing_ok=True)
    link.symlink_to(path.resolve())
    return link


def _inspect(path: Path, name: str, feed: Feed, copy_path: Path) -> Inspection:
    if path.stat().st_size == 0:
        raise QuarantineError(
            "empty_file", said("the file is empty"), where=name, remedy=said("export it again")
        )
    head = first_bytes(path)
    if head.startswith(GZIP_MARK):
        unpack_gzip(path, name, copy_path)
        path, copy_path = copy_path, copy_path.with_suffix(".utf8")
        head = first_bytes(path)
    if head.startswith(ARCHIVE_MARKS):
        raise QuarantineError(
            "nested_archive",
            said("an archive of another kind is no text"),
            where=name,
            remedy=said("deliver its files, alone or in a .zip"),
        )
    marked = next((encoding for mark, encoding in BYTE_ORDER_MARKS if head.startswith(mark)), None)
    declared = feed.encoding
    encoding = marked or (_known_codec(declared, name, feed.feed) if declared else None)
    is_utf8 = encoding in (None, "utf-8", "utf-8-sig")
    if not is_utf8 or feed.record_length is not None:
        return _transcode(path, name, feed, encoding or "utf-8", copy_path)
    counts, is_utf8 = _Counts(), True
    decoder = codecs.getincrementaldecoder("utf-8")()
    pending = False
    for chunk in _chunks(path):
        counts.add(chunk)
        if is_utf8 and (pending or not chunk.isascii()):
            try:
                decoder.decode(chunk)
                pending = bool(decoder.getstate()[0])
            except UnicodeDecodeError:
                is_utf8 = False
    if is_utf8 and not pending:
        return counts.inspection(path, encoding or "utf-8", False, marked is not None)
    good, bad, first_line, first_byte = _damage(path)
    if good >= DAMAGED_TOLERANCE * bad:
        return counts.inspection(path, encoding or "utf-8", True, marked is not None)
    if encoding:
        raise QuarantineError(
            "wrong_encoding",
            said("byte 0x{first_byte:02X} is not UTF-8", first_byte=first_byte),
            where=f"{name} line {first_line}",
            line=first_line,
            remedy=said(
                'declare the encoding of feed "{feed}", such as encoding: cp1252', feed=feed.feed
            ),
        )
    return _transcode(path, name, feed, "cp1252", copy_path)


def _known_codec(declared: str, name: str, feed: str) -> str:
    register_codecs()
    try:
        return codecs.lookup(declared).name
    except LookupError:
        raise QuarantineError(
            "wrong_encoding",
            said('no encoding is called "{declared}"', declared=declared),
            where=name,
            remedy=said('correct encoding of feed "{feed}", such as utf-8 or cp1252', feed=feed),
        ) from None


def _chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            yield chunk


def _damage(path: Path) -> tuple[int, int, int, int]:
    """Characters beyond ASCII that are valid UTF-8, bytes that are not, first bad line and byte."""
    good = bad = lines = 0
    first: tuple[int, int] | None = None
    rest = b""
    for chunk in (*_chunks(path), b""):
        data = rest + chunk
        if chunk and not chunk.isascii():
            cut = max(data.rfind(b"\n"), data.rfind(b"\r")) + 1 or len(data)
            data, rest = data[:cut], data[cut:]
        else:
            rest = b""
        if not data.isascii():
            if first is None:
                try:
                    data.decode("utf-8")
                except UnicodeDecodeError as error:
                    line = lines + data.count(b"\n", 0, error.start) + 1
                    first = (line, data[error.start])
            valid = data.decode("utf-8", "ignore")
            ascii_bytes = len(data.translate(None, _BEYOND_ASCII))
            good += len(valid) - ascii_bytes
            bad += len(data) - len(valid.encode("utf-8"))
        lines += data.count(b"\n")
    line, byte = first or (1, 0)
    return good, bad, line, byte


def _transcode(path: Path, name: str, feed: Feed, encoding: str, copy_path: Path) -> Inspection:
    """A UTF-8 copy; records of a fixed length become lines, and EBCDIC's new line a line feed."""
    counts, lines = _Counts(), 0
    decoder = codecs.getincrementaldecoder(encoding)()
    new_line = "\x85" if is_ebcdic(encoding) else None
    chunks = _records(path, feed.record_length, name) if feed.record_length else _chunks(path)
    packed = [field for field in feed.fields or [] if field.is_number]
    blank = " ".encode(encoding)
    with copy_path.open("wb") as copy:
        for record in itertools.chain(chunks, [b""]):
            chunk = without_packed(record, packed, blank) if packed and record else record
            try:
                text = decoder.decode(chunk, final=not chunk)
            except UnicodeDecodeError as error:
                line = lines + chunk[: error.start].count(b"\n") + 1
                tried = "neither UTF-8 nor cp1252" if encoding == "cp1252" else f"not {encoding}"
                raise QuarantineError(
                    "wrong_encoding",
                    said(
                        "byte 0x{value:02X} is {tried}",
                        value=error.object[error.start],
                        tried=tried,
                    ),
                    where=f"{name} line {line}",
                    line=line,
                    remedy=said('declare the encoding of feed "{feed}"', feed=feed.feed),
                ) from None
            if feed.record_length and chunk:
                text = (
                    text.translate(_BLANK_ENDS) + packed_texts(record, packed, feed.decimal) + "\n"
                )
            elif new_line is not None:
                text = text.replace(new_line, "\n")
            lines += text.count("\n")
            plain = text.encode("utf-8")
            counts.add(plain)
            copy.write(plain)
    return counts.inspection(copy_path, encoding, False, False)


def _records(path: Path, length: int, name: str) -> Iterator[bytes]:
    """Records of a fixed length; QuarantineError when the last one breaks off."""
    size = path.stat().st_size
    if size % length:
        raise QuarantineError(
            "truncated_file",
            said(
                "the file breaks off: {size:,} bytes are no whole number of records of {length}",
                size=size,
                length=length,
            ),
            where=f"{name} line {size // length + 1}",
            line=size // length + 1,
            remedy=said("transfer it again, whole and as binary, or correct record_length"),
        )
    with path.open("rb") as file:
        while record := file.read(length):
            yield record
