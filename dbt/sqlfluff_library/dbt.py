"""dbt's own cross-database macros, as the linter needs them."""

from __future__ import annotations


def type_string() -> str:
    return "varchar"


def type_bigint() -> str:
    return "bigint"


def type_int() -> str:
    return "integer"


def type_timestamp() -> str:
    return "timestamp"


def type_boolean() -> str:
    return "boolean"


def date_trunc(part: str, day: str) -> str:
    return f"date_trunc('{part}', {day})"
