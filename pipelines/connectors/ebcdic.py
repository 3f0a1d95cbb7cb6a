"""EBCDIC, by declaration: Python's code pages, and the French ones that Python lacks.

AS/400 extracts of French companies come as CCSID 297, or 1147 with the euro sign; both differ
from code page 37 in a few places.
"""

from __future__ import annotations

import codecs
from functools import cache
from typing import Any

KNOWN_TO_PYTHON = frozenset(
    {"cp037", "cp273", "cp424", "cp500", "cp875", "cp1026", "cp1140"},
)
_FRENCH = {
    0x44: "@", 0x48: "\\", 0x4A: "°", 0x4F: "!", 0x51: "{", 0x54: "}", 0x5A: "§", 0x5F: "^",
    0x6A: "ù", 0x79: "µ", 0x7B: "£", 0x7C: "à", 0x90: "[", 0xA0: "`", 0xA1: "¨", 0xB0: "¢",
    0xB1: "#", 0xB5: "]", 0xBA: "¬", 0xBB: "|", 0xBD: "~", 0xC0: "é", 0xD0: "è", 0xDD: "¦",
    0xE0: "ç",
}  # fmt: skip
OURS = {"cp297": _FRENCH, "cp1147": _FRENCH | {0x9F: "€"}}


def is_ebcdic(encoding: str) -> bool:
    return encoding in KNOWN_TO_PYTHON or encoding in OURS


@cache
def register_codecs() -> None:
    """Let Python know the French code pages as ``cp297`` and ``cp1147``."""
    codecs.register(_find)


def _find(name: str) -> codecs.CodecInfo | None:
    changes = OURS.get(name.replace("ibm", "cp"))
    if changes is None:
        return None
    table = list(bytes(range(256)).decode("cp037"))
    for place, character in changes.items():
        table[place] = character
    letters: Any = "".join(table)
    places = codecs.charmap_build(letters)

    class Decoder(codecs.IncrementalDecoder):
        def decode(self, data: bytes, final: bool = False) -> str:  # type: ignore[override]
            return codecs.charmap_decode(data, self.errors, letters)[0]

    return codecs.CodecInfo(
        name=name.replace("ibm", "cp"),
        encode=lambda text, errors="strict": codecs.charmap_encode(text, errors, places),
        decode=lambda data, errors="strict": codecs.charmap_decode(bytes(data), errors, letters),
        incrementaldecoder=Decoder,
    )
