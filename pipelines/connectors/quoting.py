"""Text of people and files as SQL: always an identifier or a literal, never bare."""

from __future__ import annotations

from collections.abc import Iterable


def identifier(name: str) -> str:
    """A quoted identifier."""
    return '"' + name.replace('"', '""') + '"'


def literal(value: str | int | float | bool | None) -> str:
    """A literal; texts are escaped, and a boolean reads ``true`` or ``false``."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    return "'" + value.replace("'", "''") + "'"


def literals(values: Iterable[str]) -> str:
    """Literals with commas between, for ``in (...)``."""
    return ", ".join(literal(value) for value in values)
