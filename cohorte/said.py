"""Texts told in English that can be told again in another language.

``said("{name}: the file is missing", name=name)`` is a plain text in English, and keeps the
template and the values it was made of. The templates stand in the catalogues by themselves.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import reduce
from string import Formatter
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cohorte.i18n import Translator


class Said(str):
    """An English text made of a template and values; values may be such texts themselves."""

    __slots__ = ("template", "values")
    template: str
    values: dict[str, Any]

    def __new__(cls, template: str, values: dict[str, Any]) -> Said:
        told = super().__new__(cls, template.format(**values))
        told.template, told.values = template, values
        return told

    def __deepcopy__(self, memo: dict[int, Any]) -> Said:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return Said, (self.template, self.values)


def said(message: str, **values: Any) -> Said:
    """A text for people, marked for the catalogues where it is written."""
    return Said(message, values)


def listed(parts: Iterable[str]) -> str:
    """Texts one after another, each told in its reader's language; empty when there is none."""
    texts = list(parts)
    if not texts:
        return ""
    return reduce(lambda one, other: said("{one}; {other}", one=one, other=other), texts)


def told(text: str, translate: Translator) -> str:
    """A text in the reader's language, as far as it was said so that this can be done."""
    if not isinstance(text, Said):
        return text
    values = {name: told(value, translate) for name, value in text.values.items()}
    return _Filled(translate.language).format(translate(text.template), **values)


class _Filled(Formatter):
    """Fills a text, counts written as the language writes them."""

    def __init__(self, language: str) -> None:
        self.language = language

    def format_field(self, value: Any, format_spec: str) -> str:
        from cohorte.i18n import format_number, format_percent

        if format_spec == ",":
            return format_number(value, self.language)
        if format_spec == ".1%":
            return format_percent(value, self.language)
        return str(super().format_field(value, format_spec))


def packed(text: str) -> Any:
    """A text as JSON holds it, template and values apart."""
    if not isinstance(text, Said):
        return text
    return {"said": text.template, "values": {k: _plain(v) for k, v in text.values.items()}}


def _plain(value: Any) -> Any:
    if isinstance(value, str):
        return packed(value)
    return value if isinstance(value, int | float | None) else str(value)


def unpacked(value: Any) -> Any:
    """What was packed."""
    if isinstance(value, dict) and "said" in value:
        return Said(value["said"], {k: unpacked(v) for k, v in value["values"].items()})
    return value
