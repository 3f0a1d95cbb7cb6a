"""What a pass leaves for the next one, so that it looks only at what is new.

``warehouse/identity_state.duckdb`` holds no value of a person but e-mails and phones that link
nobody: records are hashes of their ids, values hashes of values. It can be lost at any time: a
pass without it is one over everything, and comes to the same customers.
"""

from __future__ import annotations

import hashlib
import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import duckdb

from models.identity.exact import RULES

__all__ = ["held_values", "map_mark", "open_state", "save_state", "state_stamp"]

LAYOUT = ("records", "edges", "pairs", "decided", "shown", "refused", "shared_values", "meta")


def state_stamp(**parts: Any) -> str:
    """What the state hangs on besides the data: this room's code, DuckDB, settings, census."""
    code = hashlib.sha256()
    for path in sorted(Path(__file__).parent.glob("*.py")):
        code.update(path.read_bytes())
    return json.dumps(parts | {"code": code.hexdigest(), "duckdb": duckdb.__version__},
        sort_keys=True, default=str)  # fmt: skip


def map_mark(con: duckdb.DuckDBPyConnection) -> str:
    """A mark of the map of ids, by which a state is known to be of it."""
    return json.dumps(
        con.execute("""
            select (select [count(*)::varchar, max(number)::varchar,
                    bit_xor(hash(customer_id, number, merged_into))::varchar]
                from map.customer_ids),
                (select [count(*)::varchar, count(valid_to)::varchar, max(valid_from)::varchar,
                    max(valid_to)::varchar]
                from map.identity_map)
        """).fetchall()[0]
    )


def held_values(references: dict[str, str]) -> dict[str, tuple[int, str]]:
    """Columns of the state with the hash of each value that a record may share: rule and SQL."""
    targets = ", ".join("'" + name.replace("'", "''") + "'" for name in references.values())
    values = {
        "held_person": ("person_id", "source || chr(31) || person_id"),
        "held_external": ("external_id", "external_id"),
        "held_referred": (
            "external_id",
            f"case when source in ({targets}) then upper(contact_id) end" if targets else "null",
        ),
        "held_loyalty": ("loyalty_number", "loyalty_number"),
        "held_email": ("email", "email"),
        "held_phone": ("phone", "phone"),
    }
    return {
        column: (RULES.index(rule), f"case when ({value}) is not null then hash({value}) end")
        for column, (rule, value) in values.items()
    }


def records_kept(references: dict[str, str]) -> str:
    """What is kept of the records at hand: digests of the row, of its shared values, its blocks."""
    held = ", ".join(f"{value} as {name}" for name, (_, value) in held_values(references).items())
    return f"""
        select records.key, row_hash, {held}, hashes.* exclude (record, key)
        from _identity_records as records join identity_hashes as hashes using (record)
    """


EDGES_KEPT = """
    select rule, hash(value) as value, a.key as key_a, b.key as key_b
    from _identity_edges
    join _identity_records as a on a.record = record_a
    join _identity_records as b on b.record = record_b
    where record_a <> record_b
"""
REFUSED_KEPT = "select *, hash(value) as value_hash from _identity_refused"


def open_state(con: duckdb.DuckDBPyConnection, path: Path, stamp: str) -> bool:
    """Attach the state as ``state`` when it is whole, of this stamp and of this map."""
    if not path.is_file():
        return False
    try:
        con.execute(f"attach '{str(path).replace(chr(39), chr(39) * 2)}' as state")
    except duckdb.Error:
        _remove(path)
        return False
    try:
        for table in LAYOUT:
            con.execute(f"select * from state.{table} limit 1").fetchall()
        held = con.execute("select stamp, mark from state.meta").fetchall()
        if held == [(stamp, map_mark(con))]:
            return True
    except duckdb.Error:
        pass
    con.execute("detach state")
    _remove(path)
    return False


def save_state(
    con: duckdb.DuckDBPyConnection, path: Path, stamp: str, references: dict[str, str]
) -> None:
    """Write what a pass over everything found, when it is over; a crash leaves no state.

    Nothing is written when two records have one key, which 64 bits make next to impossible.
    """
    records, keys = con.execute(
        "select count(*), count(distinct key) from _identity_records"
    ).fetchall()[0]
    _remove(path)
    if records != keys:
        return
    draft = path.with_name(f"{path.name}.draft")
    _remove(draft)
    con.execute(f"attach '{str(draft).replace(chr(39), chr(39) * 2)}' as state")
    try:
        con.execute(f"create table state.records as {records_kept(references)}")
        con.execute(f"create table state.edges as {EDGES_KEPT}")
        con.execute("""
            create table state.pairs as
            select l.key as key_l, r.key as key_r, match_weight, evidence, reason as veto
            from identity_pairs left join identity_vetoes using (record_l, record_r)
            join _identity_records as l on l.record = record_l
            join _identity_records as r on r.record = record_r
        """)
        con.execute("""
            create table state.decided as
            select l.key as key_l, r.key as key_r, verdict
            from identity_decided
            join _identity_records as l on l.record = record_l
            join _identity_records as r on r.record = record_r
        """)
        con.execute("create table state.shown as from identity_edges")
        con.execute(f"create table state.refused as {REFUSED_KEPT}")
        con.execute("create table state.shared_values as from identity_shared_values")
        con.execute(
            "create table state.meta as select ?::varchar as stamp, ?::varchar as mark",
            [stamp, map_mark(con)],
        )
        con.execute("checkpoint state")
        con.execute("detach state")
        draft.replace(path)
    except BaseException:
        with suppress(duckdb.Error):
            con.execute("detach state")
        _remove(draft)
        raise


def _remove(path: Path) -> None:
    path.unlink(missing_ok=True)
    path.with_name(f"{path.name}.wal").unlink(missing_ok=True)
