"""A pass over what is new: it looks only at what new, changed and missing records touch.

What it leaves alone would come out as it was: a link hangs on two records and on the census, a
shared value on the records that hold it, a block on its size, a customer on the links within its
group and on the ids of its records. So the records that any of these reach are worked out anew
by the very code of a pass over everything, and the rest is as the last pass left it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from cohorte.warehouse import transaction
from models.identity import linking
from models.identity.artifact import LinkModel
from models.identity.census import Census
from models.identity.contradictions import veto_pairs
from models.identity.exact import (
    RECORD_KEY,
    RULES,
    columns_read,
    link_exactly,
    number_records,
    scratch_tables,
)
from models.identity.joining import (
    Decision,
    FullLimits,
    collect_links,
    decide,
    join_records,
    register_said,
    relink_around_decisions,
)
from models.identity.standardise import find_shared_values, name_records, standardise
from models.identity.state import (
    EDGES_KEPT,
    REFUSED_KEPT,
    held_values,
    map_mark,
    records_kept,
)

__all__ = ["Advance", "advance", "keep_state"]

KeyArray = npt.NDArray[np.uint64]


@dataclass(frozen=True)
class Advance:
    """What was looked at."""

    records: int
    changed: int
    """Records that are new or not what they were."""
    gone: int
    """Records no longer staged."""
    regrouped: int
    """Records whose customers were worked out anew."""


def advance(
    con: duckdb.DuckDBPyConnection,
    *,
    model: LinkModel,
    census: Census,
    decisions: Sequence[Decision],
    unique_sources: frozenset[str],
    limits: FullLimits,
    max_share: float = 0.1,
) -> Advance | None:
    """Work out ``identity_clusters`` and ``identity_edges`` of the records touched.

    Reads ``staging.stg_contacts`` and the state of the last pass, attached as ``state``; changes
    neither. Leaves what the state becomes in temporary tables, for ``keep_state``. None when
    more than ``max_share`` of the records changed: a pass over everything is cheaper then.
    """
    found = _compare(con, max_share)
    if found is None:
        return None
    records, changed, gone = found
    _compare_decisions(con, decisions)
    with scratch_tables(con):
        _touch_values(con, census)
        _gather(con, "identity_near", "from touched_keys")
        link_exactly(
            con, limits.exact, contacts="identity_near", references=census.references,
            touched="touched_values",
        )  # fmt: skip
        _mark_apart(con)
        relink_around_decisions(con, limits)
        name_records(con)
        _update_shared_values(con, limits)
        standardise(con, is_counted=True)
        linking.hash_blocks(con, frozenset(census.columns), census.blocking)
        _keep_exact(con, census)
    with scratch_tables(con):
        _propose(con, census)
        _weigh(con, model, census, limits)
    with scratch_tables(con):
        regrouped = _regroup(con, decisions, unique_sources, limits)
    return Advance(records, changed, gone, regrouped)


def _scalar(con: duckdb.DuckDBPyConnection, query: str) -> int:
    return int(con.execute(query).fetchall()[0][0] or 0)


def _gather(con: duckdb.DuckDBPyConnection, table: str, keys: str) -> None:
    """Copy the staged contacts of some keys into a table."""
    con.execute(f"""
        create or replace temp table {table} as
        select source, contact_id, {", ".join(columns_read(con, "staging.stg_contacts"))}
        from staging.stg_contacts where {RECORD_KEY} in ({keys})
    """)


def _compare(con: duckdb.DuckDBPyConnection, max_share: float) -> tuple[int, int, int] | None:
    """``arrived`` and ``left_over``: keys of records that are new or changed, changed or gone."""
    con.execute(f"""
        create or replace temp table staged_keys as
        select {RECORD_KEY} as key,
            hash({", ".join(columns_read(con, "staging.stg_contacts"))}) as row_hash
        from staging.stg_contacts
    """)
    con.execute("""
        create or replace temp table moved as
        select key, staged_keys.key is not null as is_staged
        from staged_keys full join state.records as held using (key, row_hash)
        where staged_keys.key is null or held.key is null
    """)
    con.execute("create or replace temp table arrived as select key from moved where is_staged")
    con.execute(
        "create or replace temp table left_over as select key from moved where not is_staged"
    )
    records = _scalar(con, "select count(*) from staged_keys")
    changed = _scalar(con, "select count(*) from arrived")
    gone = _scalar(con, "select count(*) from left_over anti join arrived using (key)")
    kept = _scalar(con, "select count(*) from state.records") - gone
    fresh = _scalar(con, "select count(*) from arrived anti join state.records using (key)")
    con.execute("drop table staged_keys")
    is_odd = kept + fresh != records  # a record staged twice: the full pass says so
    if is_odd or changed + gone > max_share * records:
        return None
    return records, changed, gone


def _compare_decisions(con: duckdb.DuckDBPyConnection, decisions: Sequence[Decision]) -> None:
    """``new_decided``: decisions on records that are there; ``redecided``: keys with others."""
    register_said(con, decisions)
    con.execute("""
        create or replace temp table new_decided as
        with said as (
            select distinct hash(source_a, contact_a) as a, hash(source_b, contact_b) as b, verdict
            from _identity_said
        ),
        there as (
            select key from state.records anti join left_over using (key)
            union all
            from arrived
        )
        select least(a, b) as key_l, greatest(a, b) as key_r, verdict
        from said
        where a <> b and a in (from there) and b in (from there)
    """)
    con.unregister("_identity_said")
    con.execute("""
        create or replace temp table redecided as
        with before as (
            select least(key_l, key_r) as key_l, greatest(key_l, key_r) as key_r, verdict
            from state.decided
        ),
        moved as (
            (from before except from new_decided) union all (from new_decided except from before)
        )
        select distinct unnest([key_l, key_r]) as key from moved
    """)


def _touch_values(con: duckdb.DuckDBPyConnection, census: Census) -> None:
    """``touched_values``: shared values that a changed record holds or held; ``touched_keys``."""
    held = held_values(census.references)
    _gather(con, "identity_arrived", "from arrived")
    number_records(con, "identity_arrived")
    con.execute(f"""
        create or replace temp table arrived_values as
        select key, {", ".join(f"{value} as {name}" for name, (_, value) in held.items())}
        from _identity_records
    """)
    con.execute(f"""
        create or replace temp table left_values as
        select key, {", ".join(held)} from state.records
        where key in (from left_over) or key in (from redecided)
    """)
    parts = " union ".join(
        f"select {rule}::utinyint as rule, {name} as value from {table} where {name} is not null"
        for name, (rule, _) in held.items()
        for table in ("arrived_values", "left_values")
    )
    con.execute(f"create or replace temp table touched_values as {parts}")
    holders = " union ".join(
        f"select key from state.records where {name} in"
        f" (select value from touched_values where rule = {rule})"
        for name, (rule, _) in held.items()
    )
    con.execute(f"""
        create or replace temp table touched_keys as
        (select key from ({holders}) anti join left_over using (key))
        union from arrived
    """)


def _mark_apart(con: duckdb.DuckDBPyConnection) -> None:
    """``identity_decided`` with the records at hand that are kept apart from any other record."""
    con.execute("""
        create or replace table identity_decided as
        select record as record_l, record as record_r, 'not_same' as verdict
        from _identity_records
        where key in (
            select unnest([key_l, key_r]) from new_decided where verdict = 'not_same')
    """)


def _update_shared_values(con: duckdb.DuckDBPyConnection, limits: FullLimits) -> None:
    """``identity_shared_values`` as they are now; ``restandardised``: keys with others."""
    email, phone = RULES.index("email"), RULES.index("phone")
    find_shared_values(con, limits.exact.max_names)
    con.execute(f"""
        create or replace temp table new_shared_values as
        with touched as (
            select case rule when {email} then 'email' else 'phone' end as field, value
            from touched_values where rule in ({email}, {phone})
        )
        select field, value from state.shared_values
        where (field, hash(value)) not in (select (field, value) from touched)
        union all
        select field, value from identity_shared_values
        where (field, hash(value)) in (select (field, value) from touched)
    """)
    con.execute("""
        create or replace temp table identity_shared_values as from new_shared_values
    """)
    con.execute("""
        create or replace temp table restandardised as
        with flipped as (
            (from new_shared_values except from state.shared_values)
            union all
            (from state.shared_values except from new_shared_values)
        )
        select key from _identity_records
        where email in (select value from flipped where field = 'email')
            or phone in (select value from flipped where field = 'phone')
        union from arrived
    """)


def _keep_exact(con: duckdb.DuckDBPyConnection, census: Census) -> None:
    """What the state's exact part becomes: ``new_records``, ``new_edges``, ``new_refused``."""
    con.execute(
        f"create or replace temp table new_records as {records_kept(census.references)}"
        " where records.key in (from restandardised)"
    )
    con.execute(f"create or replace temp table new_edges as {EDGES_KEPT}")
    con.execute("""
        create or replace temp table old_edges as
        from state.edges where (rule, value) in (from touched_values)
    """)
    con.execute(f"create or replace temp table new_refused as {REFUSED_KEPT}")
    con.execute("""
        create or replace temp table outdated as
        from left_over union select key from restandardised
    """)


def _propose(con: duckdb.DuckDBPyConnection, census: Census) -> None:
    """``proposals``: pairs to be weighed; ``dissolved``: pairs of full blocks, weighed before."""
    used = [rule for rule in census.blocking if rule.is_used]
    con.execute("""
        create or replace temp table old_records as
        from state.records where key in (from outdated)
    """)
    con.execute("create or replace temp table proposals (key_a ubigint, key_b ubigint)")
    con.execute("create or replace temp table dissolved (key_a ubigint, key_b ubigint)")
    for rule in used:
        column, allowed = rule.column, rule.largest_block
        con.execute(f"""
            create or replace temp table members as
            with touched as (
                select {column} as block from new_records where {column} is not null
                union
                select {column} from old_records where {column} is not null
            ),
            before as (
                select {column} as block, key from state.records
                semi join touched on touched.block = {column}
            )
            select block, before.key, true as was, outdated.key is null as stays, false as is_new
            from before left join outdated using (key)
            union all
            select {column}, key, false, true, true from new_records where {column} is not null
        """)
        con.execute(f"""
            create or replace temp table opened as
            with blocks as (
                select block, count(*) filter (was) <= {allowed} as was_open,
                    count(*) filter (stays) <= {allowed} as is_open
                from members group by block
                having count(*) > 1
            )
            select members.*, was_open, is_open
            from members join blocks using (block) where was_open or is_open
        """)
        con.execute("""
            insert into proposals
            select distinct least(a.key, b.key), greatest(a.key, b.key)
            from opened as a join opened as b using (block)
            where a.is_open and a.is_new and b.stays and a.key <> b.key
        """)
        con.execute("""
            insert into dissolved
            select distinct a.key, b.key
            from opened as a join opened as b using (block)
            where a.is_open <> a.was_open
                and a.was and a.stays and b.was and b.stays and a.key < b.key
        """)
    if _scalar(con, "select count(*) from dissolved"):
        _propose_again(con, used)


def _propose_again(con: duckdb.DuckDBPyConnection, used: Sequence[linking.Blocking]) -> None:
    """Propose the pairs of blocks that opened or closed where some open block holds them."""
    con.execute("""
        create or replace temp table parted as
        from state.records
        semi join (select unnest([key_a, key_b]) as key from dissolved) using (key)
    """)
    for rule in used:
        column, allowed = rule.column, rule.largest_block
        con.execute(f"""
            insert into proposals
            with common as (
                select key_a, key_b, a.{column} as block
                from dissolved
                join parted as a on a.key = key_a
                join parted as b on b.key = key_b
                where a.{column} = b.{column}
            ),
            held as (
                select {column} as block, key from state.records
                semi join common on common.block = {column}
            ),
            sizes as (
                select block from (
                    select block from held anti join outdated using (key)
                    union all
                    select {column} from new_records semi join common on common.block = {column}
                )
                group by block having count(*) <= {allowed}
            )
            select key_a, key_b from common semi join sizes using (block)
        """)


def _weigh(
    con: duckdb.DuckDBPyConnection, model: LinkModel, census: Census, limits: FullLimits
) -> None:
    """``new_pairs``: the proposals weighed; ``old_pairs``: those of the state that go."""
    con.execute("""
        create or replace temp table old_pairs as
        select key_l, key_r from state.pairs
        where key_l in (from outdated) or key_r in (from outdated)
        union
        select key_l, key_r from state.pairs
        where (least(key_l, key_r), greatest(key_l, key_r)) in
            (select (key_a, key_b) from dissolved)
    """)
    _gather(con, "identity_near", "select unnest([key_a, key_b]) from proposals")
    number_records(con, "identity_near")
    name_records(con)
    standardise(con, is_counted=True)
    con.execute("""
        create or replace temp table identity_proposed as
        select distinct least(a.record, b.record) as join_key_l,
            greatest(a.record, b.record) as join_key_r
        from proposals
        join identity_records as a on a.key = key_a
        join identity_records as b on b.key = key_b
    """)
    linking.leave_out_unlike(con)
    linking.score(
        con, model.settings, census.start, census.totals,
        shift=linking.log_odds(census.prior) - linking.log_odds(census.start),
        factors=limits.comparison_weights,
    )  # fmt: skip
    veto_pairs(con, census.reliability)
    con.execute("""
        create or replace temp table new_pairs as
        select l.key as key_l, r.key as key_r, match_weight, evidence, reason as veto
        from identity_pairs left join identity_vetoes using (record_l, record_r)
        join identity_records as l on l.record = record_l
        join identity_records as r on r.record = record_r
    """)


def _regroup(
    con: duckdb.DuckDBPyConnection,
    decisions: Sequence[Decision],
    unique_sources: frozenset[str],
    limits: FullLimits,
) -> int:
    """Work out the customers of all records that a change can reach; returns how many."""
    con.execute("""
        create or replace temp view edges_now as
        (from state.edges where (rule, value) not in (from touched_values))
        union all from new_edges
    """)
    con.execute("""
        create or replace temp view pairs_now as
        (from state.pairs where (key_l, key_r) not in (from old_pairs))
        union all from new_pairs
    """)
    seeds = con.execute("""
        from arrived union from restandardised union from redecided
        union select unnest([key_l, key_r]) from old_pairs
        union select unnest([key_l, key_r]) from new_pairs
        union select unnest([key_a, key_b]) from old_edges
        union select unnest([key_a, key_b]) from new_edges
    """).fetchnumpy()
    reached = _reach(con, np.asarray(next(iter(seeds.values())), np.uint64), limits)
    con.register("_identity_reached", pa.table({"key": pa.array(reached, pa.uint64())}))
    con.execute("create or replace temp table reached as from _identity_reached")
    con.unregister("_identity_reached")
    con.execute("delete from reached where key in (from left_over) and key not in (from arrived)")
    con.execute("""
        create or replace temp table near_pairs as
        from pairs_now where key_l in (from reached) or key_r in (from reached)
    """)
    _gather(con, "identity_near", """
        from reached
        union select unnest([key_l, key_r]) from near_pairs
        union select unnest([key_l, key_r]) from new_decided
            where key_l in (from reached) or key_r in (from reached)
    """)  # fmt: skip
    records = number_records(con, "identity_near")
    con.execute("""
        create or replace temp table _identity_edges as
        select rule, a.record as record_a, b.record as record_b
        from edges_now
        join _identity_records as a on a.key = key_a
        join _identity_records as b on b.key = key_b
        where key_a in (from reached)
    """)
    con.execute("""
        create or replace table identity_pairs as
        select l.record as record_l, r.record as record_r, match_weight, evidence, veto
        from near_pairs
        join _identity_records as l on l.key = key_l
        join _identity_records as r on r.key = key_r
    """)
    con.execute("""
        create or replace table identity_vetoes as
        select record_l, record_r, veto as reason from identity_pairs where veto is not null
    """)
    decide(con, decisions)
    collect_links(con)
    join_records(con, records, unique_sources, limits, is_exact=False)
    con.execute("""
        delete from identity_edges
        where hash(source_a, contact_a) not in (from reached)
            and hash(source_b, contact_b) not in (from reached)
    """)
    con.execute("""
        delete from identity_clusters where hash(source, contact_id) not in (from reached)
    """)
    con.execute("""
        create or replace temp table identity_scope as
        from reached union from left_over
    """)
    return _scalar(con, "select count(*) from reached")


def _reach(con: duckdb.DuckDBPyConnection, seeds: KeyArray, limits: FullLimits) -> KeyArray:
    """Keys that a change at ``seeds`` can reach, by links strong enough and by customer ids."""
    links = con.execute(
        """
        select key_a as a, key_b as b from edges_now
        union all
        select key_l, key_r from pairs_now where match_weight >= ? and veto is null
        union all
        select key_l, key_r from new_decided where verdict = 'same'
        """,
        [limits.clusters.join_weight],
    ).fetchnumpy()
    ends = np.concatenate([np.asarray(links[name], np.uint64) for name in ("a", "b")])
    keys, numbers = np.unique(ends, return_inverse=True)
    first, second = np.split(numbers, 2)
    graph = coo_array((np.ones(len(first), np.int8), (first, second)), shape=(len(keys), len(keys)))
    _, component = connected_components(graph, directed=False)
    con.execute("create or replace temp table scope_ids (customer_id varchar)")
    con.execute(f"""
        create or replace temp table map_keys as
        select {RECORD_KEY} as key, customer_id, owner_id, valid_to is null as is_current
        from map.identity_map
    """)
    reached = np.unique(seeds)
    left = con.execute("from left_over").fetchnumpy()["key"]
    while True:
        touched = np.unique(component[np.isin(keys, reached)])
        linked = np.union1d(reached, keys[np.isin(component, touched)])
        con.register(
            "_identity_reached",
            pa.table({"key": pa.array(np.union1d(linked, left), pa.uint64())}),
        )
        con.execute("""
            create or replace temp table scope_ids as
            select unnest([customer_id, owner_id]) as customer_id
            from map_keys semi join _identity_reached using (key)
            union
            from scope_ids
        """)
        owned = con.execute("""
            select key from map_keys semi join scope_ids using (customer_id) where is_current
            union
            select key from map_keys semi join scope_ids on owner_id = scope_ids.customer_id
            where is_current
        """).fetchnumpy()["key"]
        con.unregister("_identity_reached")
        wider = np.union1d(linked, np.asarray(owned, np.uint64))
        if len(wider) == len(reached):
            return wider
        reached = wider


def keep_state(con: duckdb.DuckDBPyConnection) -> None:
    """Bring the state to what the pass found, in one transaction, when the map is written."""
    mark = map_mark(con)
    with transaction(con):
        con.execute("delete from state.records where key in (from outdated)")
        con.execute("insert into state.records by name from new_records")
        con.execute("delete from state.edges where (rule, value) in (from touched_values)")
        con.execute("insert into state.edges from new_edges")
        con.execute("delete from state.pairs where (key_l, key_r) in (from old_pairs)")
        con.execute("insert into state.pairs from new_pairs")
        con.execute("delete from state.decided")
        con.execute("insert into state.decided from new_decided")
        con.execute("""
            delete from state.shown
            where hash(source_a, contact_a) in (from identity_scope)
                or hash(source_b, contact_b) in (from identity_scope)
        """)
        con.execute("insert into state.shown from identity_edges")
        con.execute("delete from state.refused where (rule, value_hash) in (from touched_values)")
        con.execute("insert into state.refused by name from new_refused")
        con.execute("delete from state.shared_values")
        con.execute("insert into state.shared_values from new_shared_values")
        con.execute("update state.meta set mark = ?", [mark])


def tidy(con: duckdb.DuckDBPyConnection) -> None:
    """Drop what a pass over what is new leaves in the connection."""
    for view in ("edges_now", "pairs_now"):
        con.execute(f"drop view if exists temp.{view}")
