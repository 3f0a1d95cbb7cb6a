"""Packed decimals (COMP-3) in records of a fixed length: numbers as bytes, not as text.

Each byte holds two digits, the last a digit and the sign. In the text that is read on, the bytes
give way to blanks and the numbers stand behind the record, so that the places of the other fields
stay what they are.
"""

from __future__ import annotations

from collections.abc import Sequence

from cohorte.sources import Feed, FixedField

BLANKS = (b"\x00", b"\x40", b"\x20")
"""What a number that was never written is filled with: low values, blanks of EBCDIC and ASCII."""
MINUS = "bd"


def text_places(feed: Feed) -> list[tuple[int, int]]:
    """First character and length of every field in the text of a record, from 1."""
    places, behind = [], (feed.record_length or 0) + 1
    for field in feed.fields or []:
        if field.packed:
            places.append((behind, _width(field)))
            behind += _width(field)
        else:
            places.append((field.start, field.length))
    return places


def without_packed(record: bytes, fields: Sequence[FixedField], blank: bytes) -> bytes:
    """A record with blanks in the place of its packed fields."""
    text = bytearray(record)
    for field in fields:
        text[field.start - 1 : field.start - 1 + field.length] = blank * field.length
    return bytes(text)


def packed_texts(record: bytes, fields: Sequence[FixedField], point: str) -> str:
    """The numbers of a record's packed fields, each in its width, one behind the other."""
    return "".join(
        unpacked(
            record[field.start - 1 : field.start - 1 + field.length], field.decimals, point
        ).ljust(_width(field))
        for field in fields
    )


def unpacked(data: bytes, decimals: int, point: str = ".") -> str:
    """The number as text, empty when it was never written; bytes that are none in hexadecimal.

    >>> unpacked(bytes.fromhex("01234D"), 2)
    '-12.34'
    """
    if any(data == blank * len(data) for blank in BLANKS):
        return ""
    half = data.hex()
    digits, sign = half[:-1], half[-1]
    if not digits.isdecimal() or sign.isdecimal():
        return f"X'{half}'"
    digits = digits.zfill(decimals + 1)
    whole = digits[: len(digits) - decimals].lstrip("0") or "0"
    number = f"{whole}{point}{digits[len(digits) - decimals :]}" if decimals else whole
    return f"-{number}" if sign in MINUS else number


def _width(field: FixedField) -> int:
    """Room for the digits, a sign, a point and a zero before it, or for the hexadecimal."""
    return max(2 * field.length, field.decimals) + 4
