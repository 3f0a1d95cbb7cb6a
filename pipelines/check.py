"""Station check: a feed's mapping becomes one vectorised projection per entity.

A row is typed as the entity's contract asks, or rejected with the first column that does not fit.
Names from files never become identifiers, and every text of a mapping becomes a literal.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import cache
from zoneinfo import ZoneInfo

from cohorte.contracts import DUCKDB_TYPES, ColumnType, Contract, ContractColumn, contract
from cohorte.errors import SettingsError
from cohorte.said import said
from cohorte.settings import WorkspaceSettings
from cohorte.sources import EntityMapping, Feed, Mapped, Source, Where
from pipelines.connectors.dialect import mapped_columns
from pipelines.connectors.extract import Extract, Relation, RelationColumn
from pipelines.connectors.quoting import identifier, literal, literals

TRUE_WORDS = ("true", "t", "yes", "y", "1", "oui", "o", "vrai", "on", "x")
FALSE_WORDS = ("false", "f", "no", "n", "0", "non", "faux", "off")
EARLIEST_DATE = "1000-01-01"
LATEST_DATE = "9999-12-31"
EXCEL_SERIAL = "excel"
SPACES = (" ", "\u00a0", "\u202f")
NUMBER_TYPES = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "FLOAT", "DOUBLE", "DECIMAL")
REASONS: dict[ColumnType, str] = {
    "text": "not_a_text",
    "integer": "not_an_integer",
    "decimal": "not_a_number",
    "rate": "not_a_number",
    "boolean": "not_a_boolean",
    "timestamp": "not_a_timestamp",
    "date": "not_a_date",
}


@dataclass(frozen=True)
class Projection:
    """The rows of one entity in a feed's extract, accepted and rejected.

    ``sql`` selects ``_file_id, _line``, the filled contract columns, ``_version, _row_hash,
    _extra``, ``_clock`` (columns whose local time a clock change makes doubtful, with what it is),
    and ``_fault``: null for an accepted row, else a place in ``faults``; a rejected row
    also has ``_value`` and ``_row_text``. ``key`` is empty for rows without an id of their own.
    """

    entity: str
    sql: str
    columns: tuple[str, ...]
    faults: tuple[tuple[str | None, str], ...]
    key: tuple[str, ...]
    is_distinct: bool
    has_version: bool


@dataclass
class _Filled:
    """One contract column: its cleaned text, its typed value, and when the row is rejected."""

    column: ContractColumn
    text: str
    typed: str
    unknown: str | None = None
    clock: str | None = None


def projection(
    entity: str,
    mapping: EntityMapping,
    feed: Feed,
    source: Source,
    settings: WorkspaceSettings,
    relation: Relation,
    mapped: set[str],
    is_first: bool,
) -> Projection:
    """The projection of one entity.

    ``mapped`` are the file's columns that any entity of the feed reads. The feed's first entity
    keeps the others in ``_extra``, and one that is exploded those of its elements.
    Raises SettingsError when the declared version tells no moment.
    """
    known = contract(entity)
    _check_version(known, mapping, feed, source)
    zone = feed.time_zone or source.time_zone or settings.time_zone
    filled = [
        _fill(known.column(name), origin, feed, relation, zone)
        for name, origin in _with_defaults(known, mapping, source, settings).items()
    ]
    texts = ", ".join(f"{one.text} as t_{one.column.name}" for one in filled)
    typed = ", ".join(f"{one.typed} as v_{one.column.name}" for one in filled)
    faults: list[tuple[str | None, str]] = []
    tests: list[str] = []
    values: list[str] = []

    def fault(test: str, column: str | None, reason: str, value: str) -> None:
        tests.append(f"when {test} then {len(faults)}")
        values.append(f"when {len(faults)} then {value}")
        faults.append((column, reason))

    if relation.fault:
        fault(relation.fault[0], None, relation.fault[1], "null::varchar")
    for one in filled:
        name = one.column.name
        if one.column.required:
            empty = f"t_{name} is null"
            fault(empty, name, "missing_required", "null::varchar")
        if one.unknown:
            fault(one.unknown, name, "unknown_value", f"t_{name}::varchar")
        if one.column.type != "text":
            test = f"t_{name} is not null and {_does_not_fit(one.column)}"
            fault(test, name, REASONS[one.column.type], f"t_{name}::varchar")
    fault_case = f"case {' '.join(tests)} end::integer" if tests else "null::integer"
    value_case = f"case _fault {' '.join(values)} end" if values else "null::varchar"
    names = tuple(one.column.name for one in filled)
    outputs = ", ".join(f"v_{name} as {identifier(name)}" for name in names)
    version = f"v_{mapping.version}" if mapping.version else "null"
    clocks = [one.clock for one in filled if one.clock]
    clock = f"nullif(concat_ws(',', {', '.join(clocks)}), '')" if clocks else "null::varchar"
    extra = relation.leftover(mapped, is_first)
    where = f" where {_where(mapping.where, relation, feed)}" if mapping.where else ""
    sql = (
        f"select _file_id, _line, {outputs}, {version}::timestamp as _version,"
        f" {row_hash(names)} as _row_hash, {extra} as _extra, _clock, _fault,"
        f" case when _fault is not null then {value_case} end as _value,"
        f" case when _fault is not null then {relation.row_text} end as _row_text"
        f" from (select *, {fault_case} as _fault"
        f" from (select *, {clock} as _clock, {typed}"
        f" from (select *, {texts} from {relation.sql}{where})))"
    )
    key = known.key if all(name in mapping.columns for name in known.key) else ()
    return Projection(
        entity=entity,
        sql=sql,
        columns=names,
        faults=tuple(faults),
        key=key,
        is_distinct=mapping.distinct,
        has_version=mapping.version is not None,
    )


def _check_version(known: Contract, mapping: EntityMapping, feed: Feed, source: Source) -> None:
    name = mapping.version
    if name is None:
        return
    is_moment = known.column(name).type in ("timestamp", "date")
    if not is_moment or name not in mapping.columns:
        raise SettingsError(
            said("version: {name} is not mapped", name=name)
            if is_moment
            else said("version: {name} is no moment", name=name),
            where=f'sources/{source.source}.yml feed "{feed.feed}" entity {known.entity}',
            remedy=said("map {name}", name=name)
            if is_moment
            else said("name a column that is a date or a time"),
        )


def project_feed(
    feed: Feed, source: Source, settings: WorkspaceSettings, extract: Extract
) -> list[Projection]:
    """The projections of all entities of a feed."""
    mapped = mapped_columns(feed)
    return [
        projection(
            entity,
            mapping,
            feed,
            source,
            settings,
            extract.relation(mapping),
            mapped,
            place == 0,
        )
        for place, (entity, mapping) in enumerate(feed.entities.items())
    ]


def row_hash(names: Sequence[str]) -> str:
    """The hash of typed values: unmoved by column order, by columns added later, by the engine.

    It is the first 64 bits of the SHA-1 of the values' texts; a column takes part by a mark of
    its own, only where it has a value. (DuckDB's MD5 costs half as much again.)
    """
    parts = ", ".join(
        f"case when v_{name} is null then '' else {literal(column_mark(name))} end, v_{name}"
        for name in sorted(names)
    )
    return f"('0x' || left(sha1(concat({parts})), 16))::ubigint"


def column_mark(name: str) -> str:
    """Four characters that stand for a column's name within its row's hash."""
    return "\x1f" + hashlib.md5(name.encode(), usedforsecurity=False).hexdigest()[:3]


def _with_defaults(
    known: Contract, mapping: EntityMapping, source: Source, settings: WorkspaceSettings
) -> dict[str, Mapped]:
    """The mapping in the contract's order, with the source's currency and country where silent."""
    defaults = {
        "currency_code": source.currency_code or settings.currency,
        "country_code": source.country_code,
    }
    result: dict[str, Mapped] = {}
    for column in known.columns:
        mapped = mapping.columns.get(column.name)
        default = None if column.required else defaults.get(column.name)
        if mapped is None and default is not None:
            mapped = Mapped(constant=default)
        elif mapped is not None and mapped.default is None and default is not None:
            mapped = mapped.model_copy(update={"default": default})
        if mapped is not None:
            result[column.name] = mapped
    return result


def _fill(
    column: ContractColumn, mapped: Mapped, feed: Feed, relation: Relation, zone: str
) -> _Filled:
    if mapped.constant is not None:
        text = f"{literal(_as_text(mapped.constant))}::varchar"
        return _Filled(column, text, _typed(f"t_{column.name}", column.type, mapped, feed, zone))
    present = [relation.columns.get(name) for name in mapped.read_columns]
    found = [one for one in present if one is not None]
    is_plain = not (
        mapped.columns
        or mapped.transform
        or mapped.values is not None
        or mapped.starts_with is not None
        or mapped.default is not None
        or mapped.split is not None
    )
    if not found:
        text = f"{literal(_as_text(mapped.default))}::varchar"
        return _Filled(column, text, _typed(f"t_{column.name}", column.type, mapped, feed, zone))
    if is_plain and found[0].type != "VARCHAR":
        direct = _direct(f"t_{column.name}", found[0].type, column.type, zone)
        if direct is not None:
            return _Filled(column, found[0].sql, direct)
    text, unknown = _text(mapped, found, feed)
    typed = _typed(f"t_{column.name}", column.type, mapped, feed, zone)
    unknown = unknown and f"t_{column.name} is not null and {unknown}"
    return _Filled(column, text, typed, unknown, _clock(column, mapped, feed, zone))


def _clock(column: ContractColumn, mapped: Mapped, feed: Feed, zone: str) -> str | None:
    """What a clock change makes of a local time: it happens twice, or not at all; else null.

    A time that happens twice counts as the later, one that does not is moved on by the gap. Only
    the days of a change are looked at closely.
    """
    days = change_days(zone)
    if column.type != "timestamp" or not days:
        return None
    text = f"t_{column.name}"
    formats = mapped.formats or [*feed.timestamp_formats, *feed.date_formats]
    if formats:
        parsed = ", ".join(_moment(text, form) for form in formats if "%z" not in form)
        if not parsed:
            return None
        local = f"coalesce({parsed})"
    else:
        zoned = f"length({text}) > 10 and {_has_zone(text)}"
        local = f"case when not ({zoned}) then try_cast({text} as timestamp) end"
    instant = f"timezone({literal(zone)}, {local})"
    again = " or ".join(
        f"timezone({literal(zone)}, {instant} {sign} interval 1 hour) = {local}" for sign in "+-"
    )
    return (
        f"case when ({local})::date in ({', '.join(days)}) then case"
        f" when timezone({literal(zone)}, {instant}) <> {local}"
        f" then {literal(column.name + ' nonexistent_time')}"
        f" when {again} then {literal(column.name + ' ambiguous_time')} end end"
    )


@cache
def change_days(zone: str) -> tuple[str, ...]:
    """The days, from 1970 to 2060, on which a zone's clocks are changed, as SQL dates."""
    place = ZoneInfo(zone)
    first = date(1970, 1, 1)
    found = []
    offset = None
    for number in range(91 * 366):
        day = first + timedelta(days=number)
        now = datetime(day.year, day.month, day.day, 12, tzinfo=place).utcoffset()
        if offset is not None and now != offset:
            found.append(f"date '{day}'")
        offset = now
    return tuple(found)


def _text(mapped: Mapped, found: Sequence[RelationColumn], feed: Feed) -> tuple[str, str | None]:
    """The cleaned text of a mapped column, and the condition of a value not listed, if strict."""
    parts = [_known_text(column, feed) for column in found]
    if mapped.columns is not None:
        text = f"nullif(concat_ws({literal(mapped.separator)}, {', '.join(parts)}), '')"
    else:
        text = parts[0]
    if mapped.split is not None:
        text = f"nullif(trim(split_part({text}, {literal(mapped.split)}, {mapped.part})), '')"
    text = _transformed(text, mapped)
    unknown = None
    if mapped.starts_with is not None:
        cases = " ".join(
            f"when starts_with({text}, {literal(start)}) then {literal(value)}"
            for start, value in mapped.starts_with.items()
        )
        text = f"case {cases} end"
    if mapped.values is not None:
        cases = " ".join(
            f"when {literal(value)} then {literal(_as_text(new))}"
            for value, new in mapped.values.items()
        )
        if mapped.strict:
            unknown = f"({text}) not in ({literals(mapped.values)})"
            text = f"case {text} {cases} else {text} end"
        else:
            text = f"case {text} {cases} else {text} end"
    if mapped.default is not None:
        text = f"coalesce({text}, {literal(_as_text(mapped.default))})"
    return text, unknown


def _known_text(column: RelationColumn, feed: Feed) -> str:
    """A column as text, null where the feed says that the value means nothing."""
    text = column.sql if column.type == "VARCHAR" else f"{column.sql}::varchar"
    nulls = literals(dict.fromkeys(["", *feed.null_values]))
    return (
        f"case when {text} in ({nulls}) or ({text} < '!' and trim({text}) in ({nulls}))"
        f" then null else {text} end"
    )


def _transformed(text: str, mapped: Mapped) -> str:
    match mapped.transform:
        case "lower":
            return f"lower({text})"
        case "upper":
            return f"upper({text})"
        case "trim":
            return f"nullif(trim({text}), '')"
        case "digits":
            return f"nullif(regexp_replace({text}, '[^0-9]', '', 'g'), '')"
        case "integer":
            return (
                f"case when contains({text}, '.')"
                f" then regexp_replace(trim({text}), '\\.0+$', '') else {text} end"
            )
        case None:
            return text


def _as_text(value: str | int | float | bool | None) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return str(value).lower() if isinstance(value, bool) else str(value)


def _where(where: Where, relation: Relation, feed: Feed) -> str:
    column = relation.columns[where.column]
    text = _known_text(column, feed)
    if where.is_in is not None:
        return f"coalesce({text} in ({literals(where.is_in)}), false)"
    if where.not_in is not None:
        return f"coalesce({text} not in ({literals(where.not_in)}), true)"
    return f"({text}) is {'not ' if where.is_known else ''}null"


def _direct(value: str, found: str, wanted: ColumnType, zone: str) -> str | None:
    """A typed column of the file as the contract's type, where that needs no text in between."""
    is_number = found.startswith(NUMBER_TYPES) or found.startswith("U")
    match wanted:
        case "decimal" | "rate" if is_number:
            return f"try_cast({value} as {DUCKDB_TYPES[wanted]})"
        case "integer" if is_number:
            return f"case when {value} = trunc({value}) then try_cast({value} as bigint) end"
        case "boolean" if found == "BOOLEAN":
            return value
        case "date" if found.startswith(("DATE", "TIMESTAMP")):
            return f"try_cast({value} as date)"
        case "timestamp" if found == "TIMESTAMP WITH TIME ZONE":
            return f"timezone('UTC', {value})"
        case "timestamp" if found.startswith(("DATE", "TIMESTAMP")):
            return _to_utc(f"try_cast({value} as timestamp)", zone)
        case _:
            return None


def _typed(text: str, wanted: ColumnType, mapped: Mapped, feed: Feed, zone: str) -> str:
    match wanted:
        case "text":
            return text
        case "decimal" | "rate":
            return f"try_cast({_number(text, feed)} as {DUCKDB_TYPES[wanted]})"
        case "integer":
            number = f"try_cast({_number(text, feed)} as decimal(18,4))"
            return f"case when {number} = trunc({number}) then try_cast({number} as bigint) end"
        case "boolean":
            return (
                f"case when lower(trim({text})) in ({literals(TRUE_WORDS)}) then true"
                f" when lower(trim({text})) in ({literals(FALSE_WORDS)}) then false end"
            )
        case "date":
            formats = mapped.formats or feed.date_formats or feed.timestamp_formats
            if formats:
                parsed = [_moment(text, form) for form in formats]
                return f"try_cast(coalesce({', '.join(parsed)}) as date)"
            return f"try_cast({text} as date)"
        case "timestamp":
            formats = mapped.formats or [*feed.timestamp_formats, *feed.date_formats]
            if formats:
                local = [
                    f"timezone('UTC', {_moment(text, form)})"
                    if "%z" in form
                    else _to_utc(_moment(text, form), zone)
                    for form in formats
                ]
                return f"coalesce({', '.join(local)})"
            return (
                f"case when length({text}) = 19 and substr({text}, 17, 1) = ':'"
                f" then {_to_utc(f'try_cast({text} as timestamp)', zone)}"
                f" when length({text}) > 10 and {_has_zone(text)}"
                f" then timezone('UTC', try_cast({text} as timestamptz))"
                f" else {_to_utc(f'try_cast({text} as timestamp)', zone)} end"
            )


def _moment(text: str, form: str) -> str:
    """A text as a moment in one format; a spreadsheet counts days, with their parts, from 1900."""
    if form != EXCEL_SERIAL:
        return f"try_strptime({text}, {literal(form)})"
    days = f"try_cast({text} as double)"
    seconds = f"to_seconds(round({days} * 86400)::bigint)"
    return f"case when {days} between 61 and 2958465 then timestamp '1899-12-30' + {seconds} end"


def _has_zone(text: str) -> str:
    """Whether a time ends in a zone: a letter but the T before hours, or a sign."""
    return f"regexp_matches(right({text}, 6), '[A-SU-Za-su-z+-]')"


def _number(text: str, feed: Feed) -> str:
    """A number's text with a point for the decimal mark and no thousands marks.

    Thousands must stand in threes, and a point where the comma is declared is no number.
    """
    if feed.decimal == "." and feed.thousands is None:
        return text
    mark = feed.decimal
    number = text
    if feed.thousands is not None:
        marks = SPACES if feed.thousands in SPACES else (feed.thousands,)
        group = "[" + "".join(_class(one) for one in marks) + "]"
        shape = f"[+-]?[0-9]{{1,3}}({group}[0-9]{{3}})+([{_class(mark)}][0-9]*)?"
        bare = f"regexp_replace(trim({text}), {literal(group)}, '', 'g')"
        number = (
            f"case when not regexp_matches(trim({text}), {literal(group)}) then {text}"
            f" when regexp_full_match(trim({text}), {literal(shape)}) then {bare} end"
        )
    if mark == ",":
        number = f"case when not contains({number}, '.') then replace({number}, ',', '.') end"
    return number


def _class(character: str) -> str:
    return "\\" + character if character in "\\]^-." else character


def _to_utc(local: str, zone: str) -> str:
    return local if zone == "UTC" else f"timezone('UTC', timezone({literal(zone)}, {local}))"


def _does_not_fit(column: ContractColumn) -> str:
    """Whether a typed value is none: it did not parse, or is a day that no calendar means."""
    value = f"v_{column.name}"
    if column.type not in ("date", "timestamp"):
        return f"{value} is null"
    bounds = f"date '{EARLIEST_DATE}' and date '{LATEST_DATE}'"
    return f"({value} is null or {value} not between {bounds})"
