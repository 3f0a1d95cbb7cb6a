"""One pass over the bytes of a file: its hash, lines, encoding; and a plain UTF-8 text of it.

The encoding is the declared one, else: byte order mark, strict UTF-8 over the whole file, cp1252.
A file that is UTF-8 but for a few bytes stays UTF-8; the lines that hold them are rejected.
"""

from __future__ import annotations

import codecs
import gzip
import hashlib
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from cohorte.sources import Feed
from pipelines.connectors.extract import Delivery, QuarantineError

CHUNK = 1 << 20
GZIP_FREE_BYTES = 100_000_000
GZIP_MAXIMUM_RATIO = 100
GZIP_MAXIMUM_BYTES = 50_000_000_000
DAMAGED_TOLERANCE = 10
GLOB_CHARACTERS = "*?[]{}"
LINE_ENDS = {"\n": "\\n", "\r\n": "\\r\\n", "\r": "\\r"}
_BEYOND_ASCII = bytes(range(128, 256))

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


@dataclass
class _Counts:
    lf: int = 0
    cr: int = 0
    crlf: int = 0
    nul: int = 0
    size: int = 0
    last: bytes = b""

    def add(self, chunk: bytes) -> None:
        self.lf += chunk.count(b"\n")
        if b"\r" in chunk or self.last == b"\r":
            self.cr += chunk.count(b"\r")
            self.crlf += chunk.count(b"\r\n") + (self.last == b"\r" and chunk[:1] == b"\n")
        if b"\0" in chunk:
            self.nul += chunk.count(b"\0")
        self.size += len(chunk)
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
    found = _inspect(delivery.whole_path, delivery.name, feed.feed, feed.encoding, copy_path)
    return replace(found, text_path=plain_path(found.text_path, temp_dir, delivery.file_id))


def plain_path(path: Path, temp_dir: Path, file_id: int) -> Path:
    """A path that DuckDB does not read as a pattern: the file's own, or a link to it."""
    if not any(character in str(path) for character in GLOB_CHARACTERS):
        return path
    link = temp_dir / f"{file_id}.link"
    link.unlink(missing_ok=True)
    link.symlink_to(path.resolve())
    return link


def _inspect(path: Path, name: str, feed: str, declared: str | None, copy_path: Path) -> Inspection:
    if path.stat().st_size == 0:
        raise QuarantineError(
            "empty_file", "the file is empty", where=name, remedy="export it again"
        )
    with path.open("rb") as file:
        head = file.read(4)
    if head[:2] == b"\x1f\x8b":
        _unzip(path, name, copy_path)
        path, copy_path = copy_path, copy_path.with_suffix(".utf8")
        with path.open("rb") as file:
            head = file.read(4)
    marked = next((encoding for mark, encoding in BYTE_ORDER_MARKS if head.startswith(mark)), None)
    encoding = marked or (_known_codec(declared, name, feed) if declared else None)
    if encoding is not None and encoding not in ("utf-8", "utf-8-sig"):
        return _transcode(path, name, feed, encoding, copy_path)
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
            f"byte 0x{first_byte:02X} is not UTF-8",
            where=f"{name} line {first_line}",
            line=first_line,
            remedy=f'declare the encoding of feed "{feed}", such as encoding: cp1252',
        )
    return _transcode(path, name, feed, "cp1252", copy_path)


def _known_codec(declared: str, name: str, feed: str) -> str:
    try:
        return codecs.lookup(declared).name
    except LookupError:
        raise QuarantineError(
            "wrong_encoding",
            f'no encoding is called "{declared}"',
            where=name,
            remedy=f'correct encoding of feed "{feed}", such as utf-8 or cp1252',
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


def _transcode(path: Path, name: str, feed: str, encoding: str, copy_path: Path) -> Inspection:
    counts, lines = _Counts(), 0
    decoder = codecs.getincrementaldecoder(encoding)()
    with copy_path.open("wb") as copy:
        for chunk in (*_chunks(path), b""):
            try:
                text = decoder.decode(chunk, final=not chunk)
            except UnicodeDecodeError as error:
                line = lines + chunk[: error.start].count(b"\n") + 1
                tried = "neither UTF-8 nor cp1252" if encoding == "cp1252" else f"not {encoding}"
                raise QuarantineError(
                    "wrong_encoding",
                    f"byte 0x{error.object[error.start]:02X} is {tried}",
                    where=f"{name} line {line}",
                    line=line,
                    remedy=f'declare the encoding of feed "{feed}"',
                ) from None
            lines += text.count("\n")
            plain = text.encode("utf-8")
            counts.add(plain)
            copy.write(plain)
    return counts.inspection(copy_path, encoding, False, False)


def _unzip(path: Path, name: str, copy_path: Path) -> None:
    limit = min(GZIP_MAXIMUM_BYTES, max(GZIP_FREE_BYTES, GZIP_MAXIMUM_RATIO * path.stat().st_size))
    written = 0
    try:
        with gzip.open(path, "rb") as packed, copy_path.open("wb") as copy:
            while chunk := packed.read(CHUNK):
                written += len(chunk)
                if written > limit:
                    raise QuarantineError(
                        "swollen_archive",
                        f"the compressed file swells beyond {limit:,} bytes",
                        where=name,
                        remedy="deliver it uncompressed if that is right",
                    )
                copy.write(chunk)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise QuarantineError(
            "truncated_file",
            f"the compressed file is cut or damaged: {error}",
            where=name,
            remedy="transfer it again",
        ) from None
    if written == 0:
        raise QuarantineError(
            "empty_file", "the file is empty", where=name, remedy="export it again"
        )
