"""Compressed files: gzip of one file, zip of several, unpacked within bounds.

A few megabytes can hold many gigabytes, so what comes out is counted and capped. An archive within
an archive is refused, and so is a member whose name leaves its folder.
"""

from __future__ import annotations

import gzip
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import IO

from cohorte.said import said
from pipelines.connectors.extract import QuarantineError

CHUNK = 1 << 20
FREE_BYTES = 100_000_000
MAXIMUM_RATIO = 100
MAXIMUM_BYTES = 50_000_000_000
MAXIMUM_MEMBERS = 10_000
GZIP_MARK = b"\x1f\x8b"
ZIP_MARK = b"PK\x03\x04"
ARCHIVE_MARKS = (GZIP_MARK, ZIP_MARK, b"PK\x05\x06", b"7z\xbc\xaf\x27\x1c", b"Rar!\x1a\x07")


@dataclass(frozen=True)
class Member:
    """One file of a zip archive: its name there and its bytes when packed."""

    name: str
    packed_bytes: int


def first_bytes(path: Path, count: int = 8) -> bytes:
    with path.open("rb") as file:
        return file.read(count)


def is_zip(path: Path) -> bool:
    return first_bytes(path, 4) == ZIP_MARK


def unpack_gzip(path: Path, name: str, target: Path, *, is_workbook: bool = False) -> None:
    """Unpack a gzip file; QuarantineError when it is cut, swells beyond reason or nests.

    A workbook is a zip itself, so that one counts as no nesting.
    """
    try:
        with gzip.open(path, "rb") as packed:
            _copy(packed, path.stat().st_size, name, target, is_workbook)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise _damaged(name, error) from None


def members(path: Path, name: str) -> list[Member]:
    """The files of a zip archive, by name.

    Raises QuarantineError when the archive does not read, is locked by a password, holds no file,
    too many, or one whose name would leave its folder.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            infos = [info for info in archive.infolist() if not info.is_dir()]
    except (zipfile.BadZipFile, EOFError, ValueError) as error:
        raise _damaged(name, error) from None
    infos = [info for info in infos if not _is_litter(info.filename)]
    if not infos:
        raise QuarantineError(
            "empty_file",
            said("the archive holds no file"),
            where=name,
            remedy=said("export it again"),
        )
    if len(infos) > MAXIMUM_MEMBERS:
        raise QuarantineError(
            "swollen_archive",
            said(
                "the archive holds {count:,} files, over {maximum_members:,}",
                count=len(infos),
                maximum_members=MAXIMUM_MEMBERS,
            ),
            where=name,
            remedy=said("deliver it in parts"),
        )
    for info in infos:
        if info.flag_bits & 1:
            raise QuarantineError(
                "locked_archive",
                said("the archive is locked by a password"),
                where=name,
                remedy=said("deliver it unlocked"),
            )
        if _leaves_its_folder(info.filename):
            raise QuarantineError(
                "unsafe_name",
                said(
                    "the archive holds a name that leaves its folder, {filename}",
                    filename=info.filename,
                ),
                where=name,
                remedy=said("pack it again from within its folder"),
            )
    return sorted((Member(i.filename, i.compress_size) for i in infos), key=lambda m: m.name)


def unpack_member(
    path: Path, member: Member, name: str, target: Path, *, is_workbook: bool
) -> None:
    """Unpack one file of a zip archive; QuarantineError as for gzip."""
    try:
        with zipfile.ZipFile(path) as archive, archive.open(member.name) as packed:
            _copy(packed, member.packed_bytes, name, target, is_workbook)
    except (
        EOFError,
        zlib.error,
        zipfile.BadZipFile,
        NotImplementedError,
        RuntimeError,
        KeyError,
    ) as error:
        raise _damaged(name, error) from None


def _copy(
    packed: IO[bytes] | gzip.GzipFile, packed_bytes: int, name: str, target: Path, is_workbook: bool
) -> None:
    limit = min(MAXIMUM_BYTES, max(FREE_BYTES, MAXIMUM_RATIO * packed_bytes))
    written = 0
    with target.open("wb") as copy:
        while chunk := packed.read(CHUNK):
            if written == 0:
                _refuse_nested(chunk, name, is_workbook)
            written += len(chunk)
            if written > limit:
                raise QuarantineError(
                    "swollen_archive",
                    said("the compressed file swells beyond {limit:,} bytes", limit=limit),
                    where=name,
                    remedy=said("deliver it uncompressed if that is right"),
                )
            copy.write(chunk)
    if written == 0:
        raise QuarantineError(
            "empty_file", said("the file is empty"), where=name, remedy=said("export it again")
        )


def _refuse_nested(head: bytes, name: str, is_workbook: bool) -> None:
    if head.startswith(ARCHIVE_MARKS) and not (is_workbook and head.startswith(ZIP_MARK)):
        raise QuarantineError(
            "nested_archive",
            said("an archive lies within the archive"),
            where=name,
            remedy=said("deliver the inner one"),
        )


def _damaged(name: str, error: Exception) -> QuarantineError:
    return QuarantineError(
        "truncated_file",
        said("the compressed file is cut or damaged: {error}", error=error),
        where=name,
        remedy=said("transfer it again"),
    )


def _is_litter(name: str) -> bool:
    """What systems add to archives by themselves."""
    path = PurePosixPath(name)
    return path.name.startswith(".") or "__MACOSX" in path.parts or path.name == "Thumbs.db"


def _leaves_its_folder(name: str) -> bool:
    posix, windows = PurePosixPath(name), PureWindowsPath(name)
    return posix.is_absolute() or bool(windows.anchor) or ".." in {*posix.parts, *windows.parts}
