"""Files written the way each system writes its own; the same content gives the same bytes."""

from __future__ import annotations

import re
import zipfile
from datetime import UTC, date, datetime
from io import BytesIO
from pathlib import Path
from typing import Any

import polars as pl
import xlsxwriter

_PACKED_ON = datetime(2026, 1, 1, tzinfo=UTC)
_EXCEL_DAY_ZERO = date(1899, 12, 30)


def write_till_csv(frame: pl.DataFrame, path: Path) -> None:
    """Semicolons, decimal commas, dd/mm/yyyy, cp1252, lines ending as on Windows."""
    text = BytesIO()
    frame.write_csv(
        text,
        separator=";",
        decimal_comma=True,
        float_precision=2,
        datetime_format="%d/%m/%Y %H:%M",
        date_format="%d/%m/%Y",
        line_terminator="\r\n",
    )
    _prepared(path).write_bytes(text.getvalue().decode("utf-8").encode("cp1252"))


def write_csv(frame: pl.DataFrame, path: Path, *, bom: bool = False) -> None:
    """Commas, UTF-8, points, ``2026-03-04 18:22:11``."""
    frame.write_csv(
        _prepared(path),
        include_bom=bom,
        datetime_format="%Y-%m-%d %H:%M:%S",
        float_precision=2,
        line_terminator="\n",
    )


def write_json_lines(frame: pl.DataFrame, path: Path) -> None:
    frame.write_ndjson(_prepared(path))


def write_parquet(frame: pl.DataFrame, path: Path) -> None:
    frame.write_parquet(_prepared(path), compression="zstd", statistics=True)


def write_workbook(
    sheets: dict[str, pl.DataFrame], path: Path, mixed: frozenset[str] = frozenset()
) -> None:
    """A workbook with one sheet a frame; dates are real dates, headers are bold.

    Text columns named in ``mixed`` hold numbers where the text is one, as typed by hand.

    xlsxwriter makes the frame of the workbook and its styles; the rows are composed a column at
    a time, which is some twenty times as fast as writing cell by cell.
    """
    empty = BytesIO()
    workbook = xlsxwriter.Workbook(empty, {"constant_memory": True})
    workbook.set_properties({"created": _PACKED_ON, "author": "Maison Vernelle"})
    bold = workbook.add_format({"bold": True})
    formats = {
        pl.Date: workbook.add_format({"num_format": "dd/mm/yyyy"}),
        pl.Datetime: workbook.add_format({"num_format": "dd/mm/yyyy hh:mm"}),
    }
    for name, frame in sheets.items():
        sheet = workbook.add_worksheet(name)
        sheet.freeze_panes(1, 0)
        for place, kind in enumerate(frame.dtypes):
            sheet.set_column(place, place, 18, formats.get(kind.base_type()))
        sheet.write_row(0, 0, frame.columns, bold)
    workbook.close()
    styles = {kind: style._get_xf_index() for kind, style in formats.items()}
    with (
        zipfile.ZipFile(empty) as skeleton,
        zipfile.ZipFile(_prepared(path), "w", zipfile.ZIP_DEFLATED, compresslevel=4) as packed,
    ):
        for entry in skeleton.infolist():
            content = skeleton.read(entry)
            number = re.fullmatch(r"xl/worksheets/sheet(\d+)\.xml", entry.filename)
            if number:
                frame = list(sheets.values())[int(number[1]) - 1]
                last = f"{_letters(frame.width - 1)}{frame.height + 1}"
                content = re.sub(rb'(<dimension ref="A1)[^"]*', rb"\1:" + last.encode(), content)
                rows = _sheet_rows(frame, styles, mixed).encode("utf-8")
                content = content.replace(b"</sheetData>", rows + b"</sheetData>")
            packed.writestr(zipfile.ZipInfo(entry.filename), content, zipfile.ZIP_DEFLATED)


def _letters(column: int) -> str:
    """The name of a column: A for 0, Z for 25, AA for 26."""
    before = _letters(column // 26 - 1) if column >= 26 else ""
    return before + chr(ord("A") + column % 26)


def _sheet_rows(frame: pl.DataFrame, styles: dict[Any, int], mixed: frozenset[str]) -> str:
    """The rows after the header as SpreadsheetML."""
    row = (pl.int_range(pl.len()) + 2).cast(pl.String)
    cells = []
    for place, (name, kind) in enumerate(frame.schema.items()):
        start = pl.concat_str(pl.lit(f'<c r="{_letters(place)}'), row)
        style = styles.get(kind.base_type())
        column = pl.col(name)
        if style is not None:
            since = pl.lit(_EXCEL_DAY_ZERO).cast(pl.Datetime("us"))
            days = (column.cast(pl.Datetime("us")) - since).dt.total_seconds() / 86_400
            middle, value, end = f'" s="{style}"><v>', days.cast(pl.String), "</v></c>"
        elif kind.is_numeric():
            middle, value, end = '"><v>', column.cast(pl.String), "</v></c>"
        else:
            safe = column.str.replace_many(["&", "<", ">"], ["&amp;", "&lt;", "&gt;"])
            middle, value = '" t="inlineStr"><is><t xml:space="preserve">', safe
            end = "</t></is></c>"
        cell = pl.concat_str(start, pl.lit(middle), value, pl.lit(end))
        if name in mixed:
            number = pl.concat_str(start, pl.lit('"><v>'), column, pl.lit("</v></c>"))
            is_number = column.cast(pl.Float64, strict=False).is_not_null()
            cell = pl.when(is_number).then(number).otherwise(cell)
        cells.append(cell.fill_null(""))
    whole = pl.concat_str(pl.lit('<row r="'), row, pl.lit('">'), *cells, pl.lit("</row>"))
    return frame.select(whole.str.join("")).item() or ""


def _prepared(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return path
