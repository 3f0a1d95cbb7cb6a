"""Figures to take away: tables as CSV and Excel."""

from __future__ import annotations

import io
from collections.abc import Mapping

import polars as pl

from cohorte.segments.audience import formula_safe


def as_csv(table: pl.DataFrame) -> bytes:
    """One table, for a spreadsheet: texts cannot become formulas."""
    buffer = io.BytesIO()
    formula_safe(table).write_csv(buffer, include_bom=True)
    return buffer.getvalue()


def as_xlsx(tables: Mapping[str, pl.DataFrame]) -> bytes:
    """Tables by the name of their sheet. Texts are texts; numbers stay numbers."""
    import xlsxwriter

    buffer = io.BytesIO()
    options = {"strings_to_formulas": False, "strings_to_urls": False, "in_memory": True}
    with xlsxwriter.Workbook(buffer, options) as book:
        for name, table in tables.items():
            table.write_excel(book, _sheet_name(name), autofit=True)
    return buffer.getvalue()


def _sheet_name(name: str) -> str:
    """A name that Excel takes: 31 signs, none of those it forbids."""
    return "".join(sign for sign in name if sign not in "[]:*?/\\'")[:31] or "1"
