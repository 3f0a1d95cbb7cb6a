"""Excel workbooks: every cell as text, dates as ISO; the line is the row's number in the sheet."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import duckdb
import pyarrow as pa

from cohorte.said import said
from cohorte.sources import Feed
from pipelines.connectors.extract import (
    EXTRACT_TABLE,
    READER_REJECTS_DDL,
    Delivery,
    Extract,
    Prepared,
    QuarantineError,
    Relation,
    checked_columns,
    json_leftover,
    json_row_text,
    positional,
    too_long,
    whole_rows,
)


def prepare(
    connection: duckdb.DuckDBPyConnection, delivery: Delivery, feed: Feed, temp_dir: Path
) -> Prepared:
    """Nothing to look at beforehand: each is read by itself."""
    return Prepared(delivery, delivery.file_id, delivery.whole_path.stat().st_size)


def read(connection: duckdb.DuckDBPyConnection, feed: Feed, group: Sequence[Prepared]) -> Extract:
    """Read one sheet of a workbook: the one the feed names, else the first.

    Raises QuarantineError when it is no workbook, lacks the sheet, or has no header.
    """
    (delivery,) = (one.delivery for one in group)
    connection.execute(READER_REJECTS_DDL)
    sheet_name, cells = _cells(delivery, feed)
    where = f"{delivery.name} sheet {sheet_name}"
    first = feed.header_row if feed.header else feed.header_row - 1
    if cells.num_rows < max(first, 1):
        raise QuarantineError(
            "empty_file",
            said("the sheet ends before row {max}", max=max(first, 1)),
            where=where,
            remedy=said("export it again, or correct header_row"),
        )
    header = [column[first - 1].as_py() for column in cells.columns] if feed.header else []
    rows = cells.slice(first)
    kept = [
        place
        for place, column in enumerate(rows.columns)
        if column.null_count < rows.num_rows or (feed.header and (header[place] or "").strip())
    ]
    names = [
        (header[place] or "").strip() or f"column_{place + 1}" for place in kept if feed.header
    ]
    if not feed.header:
        names = list(feed.columns or [])[: len(kept)]
        kept = kept[: len(names)]
    warnings = checked_columns(names, feed, where, feed.header_row if feed.header else None)
    columns = positional(names)
    values = pa.table(
        [pa.array(range(first + 1, first + 1 + rows.num_rows), pa.int64())]
        + [rows.column(place) for place in kept],
        names=["_line", *(f"c{place}" for place in range(len(kept)))],
    )
    fields = ", ".join(column.sql for column in columns.values())
    connection.register("_sheet", values)
    connection.execute(
        f"create or replace temp table {EXTRACT_TABLE} as select * from _sheet"
        f" where coalesce({fields}) is not null order by _line"
    )
    connection.unregister("_sheet")
    count = connection.execute(f"select count(*) from {EXTRACT_TABLE}").fetchall()[0][0]
    relation = Relation(
        sql=f"(select {delivery.file_id} as _file_id, _line, {fields} from {EXTRACT_TABLE})",
        columns=columns,
        row_text=json_row_text(columns),
        leftover=json_leftover(columns),
        fault=too_long(columns),
    )
    return Extract(
        records={delivery.file_id: int(count)},
        relation=whole_rows(relation),
        dialects={
            delivery.file_id: {"format": "excel", "sheet": sheet_name, "columns": list(names)}
        },
        messages={delivery.file_id: warnings},
    )


def _cells(delivery: Delivery, feed: Feed) -> tuple[str, pa.Table]:
    """The name of the sheet and all its cells as texts, from its first row on."""
    import fastexcel

    try:
        workbook = fastexcel.read_excel(str(delivery.path))
        names = workbook.sheet_names
        name = feed.sheet or names[0]
        if name not in names:
            raise QuarantineError(
                "missing_sheet",
                said(
                    'no sheet "{name}"; the workbook has {names}', name=name, names=", ".join(names)
                ),
                where=delivery.name,
                remedy=said('correct sheet of feed "{feed}"', feed=feed.feed),
            )
        sheet = workbook.load_sheet(name, header_row=None, skip_rows=0, dtypes="string")
        return name, pa.Table.from_batches([sheet.to_arrow()])
    except fastexcel.FastExcelError as error:
        raise QuarantineError(
            "unreadable_file",
            said("it does not read as a workbook: {value}", value=str(error).partition(chr(10))[0]),
            where=delivery.name,
            remedy=said("save it again as .xlsx, or transfer it again"),
        ) from None
