"""Station load: accepted rows into ``raw``, with their lineage; rejected ones with their reasons.

Everything of a delivery (its rows, its rejects, its line in ``files``) enters in one transaction,
so that a crash leaves whole deliveries only.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import duckdb

from cohorte.contracts import contracts
from cohorte.i18n import N_
from cohorte.said import said
from cohorte.sources import Feed
from cohorte.warehouse import transaction
from pipelines.check import Projection
from pipelines.connectors.extract import READER_REJECTS_TABLE, QuarantineError
from pipelines.connectors.quoting import identifier, literal

REJECTS_TABLE = "_rejects"
DELIVERY_TABLES = (
    "files", "rejected_rows", "column_counts", "entity_counts", "again_counts", "snapshots",
)  # fmt: skip
ROW_TEXT_CHARACTERS = 16_000
MOMENT_IN_NAME = re.compile(
    r"(?<!\d)(20\d\d|19\d\d)[-_.]?(0[1-9]|1[0-2])[-_.]?(0[1-9]|[12]\d|3[01])"
    r"(?:[-_. T]?([01]\d|2[0-3])[-_.h:]?([0-5]\d)(?:[-_.:]?([0-5]\d))?)?(?!\d)"
)

WORDS = {
    "missing_required": N_("is missing"),
    "not_a_date": N_("is not a date"),
    "not_a_timestamp": N_("is not a timestamp"),
    "not_a_number": N_("is not a number"),
    "not_an_integer": N_("is not a whole number"),
    "not_a_boolean": N_("is neither true nor false"),
    "unknown_value": N_("is not among the values declared"),
    "malformed_row": N_("the row does not read"),
    "wrong_encoding": N_("the row does not read"),
    "nul_byte": N_("the row does not read"),
    "field_too_long": N_("holds a field over 64 KiB"),
    "not_a_list": N_("is not a list"),
}


@dataclass
class FileRow:
    """One line of ``files``. Counts are records of the file, not rows of its entities."""

    file_id: int
    source: str
    feed: str
    name: str
    content_hash: str | None
    bytes: int
    loaded_at: datetime
    records: int = 0
    accepted: int = 0
    rejected: int = 0
    status: str = "loaded"
    reason: str | None = None
    dialect: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Typed:
    """A checked entity: its projection and the temporary table that holds its rows."""

    projection: Projection
    table: str


@dataclass(frozen=True)
class Snapshots:
    """Deliveries that hold all records of some entities, and the moment that each shows.

    The moment is the date in the file's name, so that one which comes late counts as early as it
    is; without one, the time of loading.
    """

    entities: tuple[str, ...] = ()
    moments: tuple[tuple[int, datetime, bool], ...] = ()

    @classmethod
    def of_feed(cls, feed: Feed, files: Sequence[FileRow]) -> Snapshots:
        entities = tuple(
            entity for entity, mapping in feed.entities.items() if mapping.mode == "snapshot"
        )
        if not entities:
            return cls()
        return cls(
            entities,
            tuple(
                (
                    file.file_id,
                    moment_in_name(file.name) or file.loaded_at,
                    moment_in_name(file.name) is not None,
                )
                for file in files
                if file.status == "loaded"
            ),
        )


def moment_in_name(name: str) -> datetime | None:
    """The last date, with its time if it has one, in a file's name."""
    found = None
    for match in MOMENT_IN_NAME.finditer(name):
        year, month, day, hour, minute, second = (int(part or 0) for part in match.groups())
        try:
            found = datetime(year, month, day, hour, minute, second)  # noqa: DTZ001
        except ValueError:
            continue
    return found


def next_file_id(connection: duckdb.DuckDBPyConnection) -> int:
    """The number for the next delivery; numbers are never used twice."""
    return int(
        connection.execute("select coalesce(max(file_id), 0) + 1 from files").fetchall()[0][0]
    )


def type_rows(
    connection: duckdb.DuckDBPyConnection, projections: Sequence[Projection]
) -> list[Typed]:
    """Run the projections into temporary tables and gather the rejected rows.

    Of an entity declared distinct one row of each stays per file: of each key the latest version
    where both are declared, else of equal rows the first.
    """
    typed: list[Typed] = []
    connection.execute(
        f"create or replace temp table {REJECTS_TABLE} as select _file_id, null::varchar as entity,"
        f" line, null::varchar as column_name, reason, value, row_text from {READER_REJECTS_TABLE}"
    )
    for place, projection in enumerate(projections):
        table = f"_typed_{place}"
        connection.execute(f"create or replace temp table {table} as {projection.sql}")
        if projection.faults:
            cases = [
                " ".join(
                    f"when {fault} then {literal(pair[part])}"
                    for fault, pair in enumerate(projection.faults)
                )
                for part in (0, 1)
            ]
            connection.execute(
                f"insert into {REJECTS_TABLE} select _file_id, {literal(projection.entity)},"
                f" _line, case _fault {cases[0]} end, case _fault {cases[1]} end, _value,"
                f" _row_text from {table} where _fault is not null"
            )
        if projection.is_distinct:
            _keep_one_of_each(connection, table, projection)
        typed.append(Typed(projection, table))
    return typed


def _keep_one_of_each(
    connection: duckdb.DuckDBPyConnection, table: str, projection: Projection
) -> None:
    same, order = _sameness(projection)
    connection.execute(
        f"create or replace temp table {table} as select * from {table} where _fault is null"
        f" qualify row_number() over (partition by _file_id, {same} order by {order}) = 1"
    )


def _sameness(projection: Projection) -> tuple[str, str]:
    """What makes rows of a distinct entity the same, and which of them stays."""
    if projection.key and projection.has_version:
        same = ", ".join(identifier(name) for name in projection.key)
        return same, "_version desc nulls last, _row_hash desc, _line"
    return "_row_hash", "_line"


def doubtful_times(
    connection: duckdb.DuckDBPyConnection, typed: Sequence[Typed]
) -> dict[int, list[tuple[str, str, int, int]]]:
    """Local times in a clock change, by file: entity and column, what they are, how many, where."""
    found: dict[int, list[tuple[str, str, int, int]]] = {}
    for one in typed:
        for file_id, clock, count, line in connection.execute(
            "select _file_id, clock, count(*), min(_line) from (select _file_id, _line,"
            f" unnest(string_split(_clock, ',')) as clock from {one.table}"
            " where _clock is not null and _fault is null) group by all order by all"
        ).fetchall():
            column, _, flag = clock.partition(" ")
            place = f"{one.projection.entity}.{column}"
            found.setdefault(file_id, []).append((place, flag, count, line))
    return found


def rejected_records(connection: duckdb.DuckDBPyConnection) -> dict[int, int]:
    """Records with at least one rejected row, by file."""
    return dict(
        connection.execute(
            f"select _file_id, count(distinct line) from {REJECTS_TABLE} group by all"
        ).fetchall()
    )


def first_rejects(connection: duckdb.DuckDBPyConnection) -> dict[int, str]:
    """The first rejected row of each file, in words: line, column, value, what is wrong."""
    return {
        file_id: said(
            "line {line}: {words}",
            line=line,
            words=reject_in_words(entity, column, reason, value),
        )
        for file_id, line, entity, column, reason, value in connection.execute(
            "select _file_id, line, entity, column_name, reason, value"
            f" from {REJECTS_TABLE} qualify row_number() over"
            " (partition by _file_id order by line, entity, column_name) = 1"
        ).fetchall()
    }


def reject_in_words(entity: str | None, column: str | None, reason: str, value: str | None) -> str:
    """What is wrong with a row, such as ``orders.ordered_at "31/02/2026" is not a timestamp``."""
    words = said(WORDS.get(reason, reason.replace("_", " ")))  # the words above are marked there
    if column is None:
        return said("{words}: {value}", words=words, value=value) if value else words
    shown = f' "{value[:80]}"' if value is not None else ""
    return said("{place} {words}", place=f"{entity}.{column}{shown}", words=words)


def load(
    connection: duckdb.DuckDBPyConnection,
    files: Sequence[FileRow],
    typed: Sequence[Typed],
    *,
    replaced: Collection[int] = (),
    snapshots: Snapshots = Snapshots(),
) -> dict[int, dict[str, int]]:
    """Load checked deliveries in one transaction; rows that entered, by file and entity.

    Of files whose status is not ``loaded`` no row enters; their rejected rows are kept. What
    ``replaced`` deliveries gave before is taken out in the same transaction.
    """
    connection.execute(
        "create or replace temp table _deliveries"
        " (file_id integer, source varchar, feed varchar, loaded_at timestamp, enters boolean)"
    )
    if files:
        connection.executemany(
            "insert into _deliveries values (?, ?, ?, ?, ?)",
            [
                [file.file_id, file.source, file.feed, file.loaded_at, file.status == "loaded"]
                for file in files
            ],
        )
    rows: dict[int, dict[str, int]] = {}
    with transaction(connection):
        _take_out(connection, replaced)
        for one in typed:
            for file_id, count in _insert_rows(connection, one, snapshots):
                rows.setdefault(file_id, {})[one.projection.entity] = count
            _count_again(connection, one)
            _count_columns(connection, one, f"(from {one.table} where _fault is null)")
        if snapshots.moments:
            connection.executemany(
                "insert into snapshots select file_id, source, feed, ?, ? from _deliveries"
                " where file_id = ?",
                [
                    [entity, moment, file_id]
                    for entity in snapshots.entities
                    for file_id, moment, _ in snapshots.moments
                ],
            )
        _insert_rejects(connection)
        _insert_files(connection, files)
    for one in typed:
        connection.execute(f"drop table {one.table}")
    return rows


def load_replayed(
    connection: duckdb.DuckDBPyConnection,
    file: FileRow,
    typed: Sequence[Typed],
    snapshots: Snapshots = Snapshots(),
) -> None:
    """Load rejected rows of one delivery that were typed anew; they leave the rejected ones.

    Of a record that an entity refused only that entity's rows enter, and what had entered of its
    other elements is replaced. The counts of ``file`` are brought up to date.
    """
    connection.execute(
        "create or replace temp table _deliveries as select ?::integer as file_id, ? as source,"
        " ? as feed, ?::timestamp as loaded_at, true as enters",
        [file.file_id, file.source, file.feed, file.loaded_at],
    )
    with transaction(connection):
        for one in typed:
            entity = one.projection.entity
            given = [file.file_id, entity]
            connection.execute(
                f"delete from {one.table} where _line not in (select line from rejected_rows"
                " where file_id = $1 and coalesce(entity, $2) = $2)",
                given,
            )
            again = f"select _line from {one.table}"
            connection.execute(
                f"delete from {identifier(entity)} where _file_id = ? and _line in ({again})",
                [file.file_id],
            )
            _insert_rows(connection, one, snapshots)
            _settle(connection, one, file.file_id)
            connection.execute(
                "delete from rejected_rows where file_id = $1 and coalesce(entity, $2) = $2"
                f" and line in ({again})",
                given,
            )
            connection.execute(
                f"delete from {REJECTS_TABLE} where entity = ? and line not in ({again})", [entity]
            )
        _insert_rejects(connection)
        (file.rejected,) = connection.execute(
            "select count(distinct line) from rejected_rows where file_id = ?", [file.file_id]
        ).fetchall()[0]
        file.accepted = file.records - file.rejected
        connection.execute("delete from files where file_id = ?", [file.file_id])
        _insert_files(connection, [file])
    for one in typed:
        connection.execute(f"drop table {one.table}")


def _settle(connection: duckdb.DuckDBPyConnection, typed: Typed, file_id: int) -> None:
    """One of each distinct row, equal rows numbered and all counted, as if of one pass."""
    entity, projection = identifier(typed.projection.entity), typed.projection
    if projection.is_distinct:
        same, order = _sameness(projection)
        connection.execute(
            f"delete from {entity} where _file_id = $1 and rowid not in (select rowid from {entity}"
            f" where _file_id = $1 qualify row_number() over (partition by {same} order by {order})"
            " = 1)",
            [file_id],
        )
    connection.execute(
        f"update {entity} set _occurrence = place from (select rowid as _row, row_number() over"
        f" (partition by _row_hash order by _line) as place from {entity} where _file_id = $1)"
        f" where {entity}.rowid = _row and _occurrence <> place",
        [file_id],
    )
    for table in ("entity_counts", "column_counts"):
        connection.execute(
            f"delete from {table} where file_id = ? and entity = ?", [file_id, projection.entity]
        )
    connection.execute(
        "insert into entity_counts select _file_id, $2, count(*),"
        f" count(*) filter (_occurrence > 1) from {entity} where _file_id = $1 group by 1",
        [file_id, projection.entity],
    )
    _count_columns(connection, typed, f"(from {entity} where _file_id = {int(file_id)})")


def load_quarantined(
    connection: duckdb.DuckDBPyConnection,
    file: FileRow,
    error: QuarantineError,
    *,
    replaced: Collection[int] = (),
) -> None:
    """Record a delivery that was refused as a whole, before its rows were read."""
    with transaction(connection):
        _take_out(connection, replaced)
        connection.execute(
            "insert into rejected_rows values (?, ?, ?, null, ?, ?, ?, null, null, ?)",
            [
                file.file_id,
                file.source,
                file.feed,
                error.line,
                error.column_name,
                error.code,
                file.loaded_at,
            ],
        )
        _insert_files(connection, [file])


def _take_out(connection: duckdb.DuckDBPyConnection, file_ids: Collection[int]) -> None:
    """Take out all that deliveries gave."""
    if not file_ids:
        return
    ids = ", ".join(str(int(file_id)) for file_id in sorted(file_ids))
    for entity in contracts():
        connection.execute(f"delete from {identifier(entity)} where _file_id in ({ids})")
    for table in DELIVERY_TABLES:
        connection.execute(f"delete from {table} where file_id in ({ids})")


def _count_again(connection: duckdb.DuckDBPyConnection, typed: Typed) -> None:
    """Note how many rows an earlier delivery of the source brought: unchanged, or of that key."""
    entity, key = typed.projection.entity, typed.projection.key
    is_first = connection.execute(
        "select count(*) filter (enters) <= 1 and not exists (select 1 from entity_counts"
        " join files using (file_id) join (select distinct source from _deliveries) using (source)"
        " where entity = ? and file_id not in (select file_id from _deliveries)) from _deliveries",
        [entity],
    ).fetchall()[0][0]
    if is_first:
        return

    def first(columns: str) -> str:
        return (
            f"(select {columns}, min(_file_id) as first_id from {identifier(entity)}"
            " semi join (select distinct source as _source from _deliveries) using (_source)"
            f" semi join _fresh using ({columns}) group by all)"
        )

    names = ", ".join(identifier(name) for name in key)
    connection.execute(
        f"create or replace temp table _fresh as select {', '.join(['_file_id, _row_hash', *key])}"
        f" from {typed.table} join _deliveries on file_id = _file_id"
        " where enters and _fault is null"
    )
    known = f" join {first(names)} as by_key using ({names})" if key else ""
    changed = "not is_same and by_key.first_id < _file_id" if key else "false"
    connection.execute(
        f"insert into again_counts select _file_id, {literal(entity)}, count(*) filter (is_same),"
        f" count(*) filter ({changed}) from (select _fresh.*, by_hash.first_id < _file_id"
        f" as is_same from _fresh join {first('_row_hash')} as by_hash using (_row_hash))"
        f"{known} group by all"
    )
    connection.execute("drop table _fresh")


def _insert_rejects(connection: duckdb.DuckDBPyConnection) -> None:
    connection.execute(
        "insert into rejected_rows select file_id, source, feed, entity, line, column_name,"
        f" reason, left(value, {ROW_TEXT_CHARACTERS}), left(row_text, {ROW_TEXT_CHARACTERS}),"
        f" loaded_at from {REJECTS_TABLE} join _deliveries"
        " on file_id = _file_id order by file_id, line"
    )


def _count_columns(connection: duckdb.DuckDBPyConnection, typed: Typed, rows: str) -> None:
    """Note how many of the accepted rows have a value, by column."""
    columns = typed.projection.columns
    names = ", ".join(literal(name) for name in columns)
    counts = ", ".join(f"count({identifier(name)})" for name in columns)
    connection.execute(
        "insert into column_counts select _file_id, "
        f"{literal(typed.projection.entity)}, unnest([{names}]), rows_count, unnest(filled)"
        f" from (select _file_id, count(*) as rows_count, [{counts}] as filled from {rows}"
        " join _deliveries on file_id = _file_id where enters group by 1)"
    )


def _insert_rows(
    connection: duckdb.DuckDBPyConnection, typed: Typed, snapshots: Snapshots
) -> list[tuple[int, int]]:
    """Append the accepted rows of an entity, equal rows of a file numbered from one.

    Gives how many rows of each file entered.
    """
    table, columns = typed.table, [identifier(name) for name in typed.projection.columns]
    connection.execute(
        "create or replace temp table _repeated as"
        f" select _file_id, _row_hash, count(*) as _times from {table} where _fault is null"
        " group by all having count(*) > 1"
    )
    occurrence, numbered = "1", ""
    if connection.execute("select 1 from _repeated limit 1").fetchall():
        occurrence = "coalesce(_number, 1)"
        numbered = (
            f" left join (select {table}.rowid as _row, row_number() over"
            f" (partition by _file_id, _row_hash order by _line) as _number from {table}"
            " semi join _repeated using (_file_id, _row_hash) where _fault is null)"
            f" on _row = {table}.rowid"
        )
    version = "_version"
    if typed.projection.entity in snapshots.entities and not typed.projection.has_version:
        dated = [
            f"when {file_id} then timestamp '{moment}'"
            for file_id, moment, is_dated in snapshots.moments
            if is_dated
        ]
        if dated:
            version = f"case _file_id {' '.join(dated)} end"
    connection.execute(
        f"insert into {identifier(typed.projection.entity)} ({', '.join(columns)}, _source,"
        " _file_id, _line, _loaded_at, _row_hash, _occurrence, _version, _extra)"
        f" select {', '.join(columns)}, source, _file_id, _line, loaded_at, _row_hash,"
        f" {occurrence}, {version}, _extra from {table}"
        f" join (select * from _deliveries where enters) on file_id = _file_id{numbered}"
        " where _fault is null"
    )
    connection.execute(
        f"insert into entity_counts select file_id, {literal(typed.projection.entity)}, count(*),"
        " coalesce(any_value(_again), 0)"
        f" from {table} join _deliveries on file_id = {table}._file_id left join"
        " (select _file_id as _of, sum(_times - 1)::bigint as _again from _repeated group by 1)"
        " on _of = file_id where enters and _fault is null group by 1"
    )
    return connection.execute(
        f"select file_id, count(*) from {table} join _deliveries on file_id = _file_id"
        " where enters and _fault is null group by all"
    ).fetchall()


def _insert_files(connection: duckdb.DuckDBPyConnection, files: Sequence[FileRow]) -> None:
    if not files:
        return
    connection.executemany(
        "insert into files values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        [
            [
                file.file_id,
                file.source,
                file.feed,
                file.name,
                file.content_hash,
                file.bytes,
                file.records,
                file.accepted,
                file.rejected,
                file.status,
                file.reason,
                json.dumps(file.dialect, ensure_ascii=False),
                file.loaded_at,
            ]
            for file in files
        ],
    )
