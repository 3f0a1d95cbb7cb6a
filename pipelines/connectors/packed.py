"""Decimals of COBOL in records of a fixed length: numbers as bytes, not as text.

Packed (COMP-3), each byte holds two digits, the last a digit and the sign. Zoned (DISPLAY), each
holds one, and the sign is punched over the last, in EBCDIC or in ASCII. In the text that is read
on, the bytes give way to blanks and the numbers stand behind the record, so that the places of the
other fields stay what they are.
"""

from __future__ import annotations

from collections.abc import Sequence

from cohorte.sources import Feed, FixedField

BLANKS = (b"\x00", b"\x40", b"\x20")
"""What a number that was never written is filled with: low values, blanks of EBCDIC and ASCII."""
MINUS = "bd"
DIGITS = {zone + digit: str(digit) for zone in (0x30, 0xF0) for digit in range(10)}
"""A digit of a zoned decimal by its byte, in ASCII and in EBCDIC."""
LAST = (
    {byte: (digit, "") for byte, digit in DIGITS.items()}
    | {zone + digit: (str(digit), "") for zone in (0xA0, 0xC0, 0xE0) for digit in range(10)}
    | {zone + digit: (str(digit), "-") for zone in (0x70, 0xB0, 0xD0) for digit in range(10)}
    | {byte: (str(digit), "") for digit, byte in enumerate(b"{ABCDEFGHI")}
    | {byte: (str(digit), "-") for digit, byte in enumerate(b"}JKLMNOPQR")}
)
"""The last digit of a zoned decimal and its sign by the byte; EBCDIC's and ASCII's differ."""


def text_places(feed: Feed) -> list[tuple[int, int]]:
    """First character and length of every field in the text of a record, from 1."""
    places, behind = [], (feed.record_length or 0) + 1
    for field in feed.fields or []:
        if field.is_number:
            places.append((behind, _width(field)))
            behind += _width(field)
        else:
            places.append((field.start, field.length))
    return places


def without_packed(record: bytes, fields: Sequence[FixedField], blank: bytes) -> bytes:
    """A record with blanks in the place of its packed and zoned fields."""
    text = bytearray(record)
    for field in fields:
        text[field.start - 1 : field.start - 1 + field.length] = blank * field.length
    return bytes(text)


def packed_texts(record: bytes, fields: Sequence[FixedField], point: str) -> str:
    """The numbers of a record's fields, each in its width, one behind the other."""
    texts = []
    for field in fields:
        data = record[field.start - 1 : field.start - 1 + field.length]
        read = unpacked if field.packed else unzoned
        texts.append(read(data, field.decimals, point).ljust(_width(field)))
    return "".join(texts)


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
    return _number("-" if sign in MINUS else "", digits, decimals, point)


def unzoned(data: bytes, decimals: int, point: str = ".") -> str:
    """The number as text, empty when it was never written; bytes that are none in hexadecimal.

    >>> unzoned(b"00123M", 2), unzoned(bytes.fromhex("F0F1F2C3"), 0)
    ('-12.34', '123')
    """
    if any(data == blank * len(data) for blank in BLANKS):
        return ""
    if data[-1] not in LAST or any(byte not in DIGITS for byte in data[:-1]):
        return f"X'{data.hex()}'"
    last, sign = LAST[data[-1]]
    return _number(sign, "".join(DIGITS[byte] for byte in data[:-1]) + last, decimals, point)


def _number(sign: str, digits: str, decimals: int, point: str) -> str:
    digits = digits.zfill(decimals + 1)
    whole = digits[: len(digits) - decimals].lstrip("0") or "0"
    sign = sign if digits.strip("0") else ""
    return sign + (f"{whole}{point}{digits[len(digits) - decimals :]}" if decimals else whole)


def _width(field: FixedField) -> int:
    """Room for the digits, a sign, a point and a zero before it, or for the hexadecimal."""
    return max(2 * field.length, field.decimals) + 4
