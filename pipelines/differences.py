"""Make a table hold the rows of another by writing only the rows that differ.

Both are cut into buckets by the hash of a row. Buckets whose rows sum to the same hash hold the
same rows; in the others rows are told apart, each as often as it is there. What is removed and
added must come to the hash of all that is wanted.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import duckdb

from cohorte.warehouse import TableInfo
from pipelines.standing import sum_of_hashes

ROWS_A_BUCKET = 32
MOST_BUCKETS = 2**20
NEARLY_ALL = 0.98
"""Of the buckets: where more differ, so do a tenth of the rows or more, and none is looked for."""


@dataclass(frozen=True)
class Written:
    """What a table holds, and how many of its rows were written."""

    info: TableInfo
    rows: int


class _Sum(NamedTuple):
    """So many rows, and the sum of their hashes."""

    rows: int
    total: int


def columns_of(connection: duckdb.DuckDBPyConnection, table: str) -> list[tuple[str, str]]:
    """Names and types of a table's columns, in order; empty when it is not there."""
    try:
        found = connection.execute(f"describe {table}").fetchall()
    except duckdb.CatalogException:
        return []
    return [(name, kind) for name, kind, *_ in found]


def write_differences(
    connection: duckdb.DuckDBPyConnection, source: str, target: str, *, most: int, order: str = ""
) -> Written | None:
    """Delete and insert the rows in which ``target`` differs from ``source``, new ones in an order.

    None when more than ``most`` rows differ, when the columns do, or when what was written is not
    what was wanted: then the table must be written whole, whatever it holds.
    """
    if columns_of(connection, source) != columns_of(connection, target):
        return None
    shift = _shift(connection, target)
    wanted, found, share = _compare(connection, source, target, shift)
    if share > NEARLY_ALL:
        return None
    if wanted == found:
        return Written(sum_of_hashes(*wanted), 0)
    removed, added = _tell_apart(connection, source, target, shift)
    changed = max(removed.rows, added.rows)
    if changed > most or _after(found, removed, added) != wanted:
        return None
    if removed.rows:
        connection.execute(
            f"delete from {target} where rowid in"
            " (select place from temp.going semi join temp.differing using (hash_of_row))"
        )
    if added.rows:
        ordered = f"order by {order}" if order else ""
        connection.execute(
            f"insert into {target} select * exclude (hash_of_row) from temp.coming"
            f" semi join temp.differing using (hash_of_row) {ordered}"
        )
    for table in ("going", "coming"):
        connection.execute(f"drop table temp.{table}")
    [(rows,)] = connection.execute(f"select count(*) from {target}").fetchall()
    return Written(sum_of_hashes(*wanted), changed) if rows == wanted.rows else None


def _after(found: _Sum, removed: _Sum, added: _Sum) -> _Sum:
    return _Sum(found.rows - removed.rows + added.rows, found.total - removed.total + added.total)


def _shift(connection: duckdb.DuckDBPyConnection, table: str) -> int:
    """How many bits of a hash its bucket leaves out: so many buckets as suit a table."""
    [(rows,)] = connection.execute(f"select count(*) from {table}").fetchall()
    return 64 - max(min(int(rows) // ROWS_A_BUCKET, MOST_BUCKETS - 1).bit_length(), 1)


def _compare(
    connection: duckdb.DuckDBPyConnection, source: str, target: str, shift: int
) -> tuple[_Sum, _Sum, float]:
    """What the source and the target hold, and the share of buckets that differ; these are laid as
    ``temp.buckets``."""
    summed = (
        f"select hash(whole_row) >> {shift} as bucket, count(*) as rows_count,"
        " sum(hash(whole_row)) as total"
        " from {} as whole_row group by bucket"
    )
    connection.execute(
        "create or replace temp table buckets as"
        f" with wanted as ({summed.format(source)}), found as ({summed.format(target)})"
        " select bucket, wanted.rows_count, wanted.total,"
        " found.rows_count as rows_found, found.total as total_found,"
        " wanted.rows_count is distinct from found.rows_count"
        " or wanted.total is distinct from found.total as is_differing"
        " from wanted full join found using (bucket)"
    )
    [(rows, total, rows_found, total_found, share)] = connection.execute(
        "select coalesce(sum(rows_count), 0), coalesce(sum(total), 0),"
        " coalesce(sum(rows_found), 0), coalesce(sum(total_found), 0),"
        " coalesce(avg(is_differing::integer), 0) from temp.buckets"
    ).fetchall()
    return _Sum(rows, total), _Sum(rows_found, total_found), share


def _tell_apart(
    connection: duckdb.DuckDBPyConnection, source: str, target: str, shift: int
) -> tuple[_Sum, _Sum]:
    """The rows that are not there equally often: those of the target, which go, and those of the
    source, which come. Their hashes are laid as ``temp.differing``; rows that may go by their place
    as ``temp.going``, those that may come as ``temp.coming``."""
    in_question = (
        "select * from (select hash(whole_row) as hash_of_row, {} from {} as whole_row)"
        f" where hash_of_row >> {shift} in (select bucket from temp.buckets where is_differing)"
    )
    connection.execute(
        "create or replace temp table going as " + in_question.format("rowid as place", target)
    )
    connection.execute(
        "create or replace temp table coming as " + in_question.format("whole_row.*", source)
    )
    connection.execute(
        "create or replace temp table differing as"
        " select hash_of_row, sum(removed) as removed, sum(added) as added from ("
        " select hash_of_row, 1 as removed, 0 as added from temp.going"
        " union all select hash_of_row, 0, 1 from temp.coming"
        ") group by hash_of_row having sum(removed) <> sum(added)"
    )
    [(removed, total_removed, added, total_added)] = connection.execute(
        "select coalesce(sum(removed), 0), coalesce(sum(removed * hash_of_row::hugeint), 0),"
        " coalesce(sum(added), 0), coalesce(sum(added * hash_of_row::hugeint), 0)"
        " from temp.differing"
    ).fetchall()
    return _Sum(removed, total_removed), _Sum(added, total_added)
