"""Customer ids that last: each old id goes on with the cluster that holds most of its records.

The map is state, kept in ``warehouse/identity.duckdb``: it cannot be worked out again from what
arrived, since an id says which records a customer was made of when it was first met. Each record
keeps the id it is owned by, whatever customer it is merged into, so that taking a merge back
gives every record the id that it had.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import duckdb

from cohorte.errors import GateError
from cohorte.warehouse import transaction

__all__ = ["MAP_DDL", "IdChanges", "assign_ids", "save_ids"]

MAP_DDL = """
create table if not exists {map}.customer_ids (
    customer_id varchar, number bigint, created_at timestamp, retired_at timestamp,
    merged_into varchar
);
create table if not exists {map}.identity_map (
    source varchar, contact_id varchar, customer_id varchar, owner_id varchar,
    link_rule varchar, valid_from timestamp, valid_to timestamp
);
create table if not exists {map}.customer_events (
    occurred_at timestamp, event varchar, customer_id varchar, other_customer_id varchar,
    records_count bigint
);
create table if not exists {map}.passes (
    occurred_at timestamp, settings varchar, records bigint, customers bigint
);
"""
"""``customer_ids`` has one row per id ever given, ``identity_map`` one per record and period,
``customer_events`` one per id created, merged, split off, revived or retired, ``passes`` one per
pass that changed settings or figures."""

_KEY = "hash(source, contact_id)"
_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


@dataclass(frozen=True)
class IdChanges:
    """What a pass did to the ids; all zero when nothing changed."""

    created: int
    merged: int
    split_off: int
    revived: int
    retired: int


def digest_sql(expression: str) -> str:
    """A 12-character id of an SQL text expression: 60 bits of its MD5 in Crockford's base 32."""
    bits = f"('0x' || left(md5({expression}), 15))::bigint"
    return " || ".join(
        f"substr('{_CROCKFORD}', (({bits} >> {shift}) & 31)::integer + 1, 1)"
        for shift in range(55, -1, -5)
    )


def assign_ids(
    con: duckdb.DuckDBPyConnection, catalog: str = "map", *, is_scoped: bool = False
) -> IdChanges:
    """Give every cluster its id: ``identity_assigned`` (cluster, customer_id, origin).

    Reads ``identity_clusters`` (record, source, contact_id, cluster), records numbered by
    seniority, and the map attached as ``catalog``. Each id claims the cluster with most of the
    records it owns, at a tie the one with the oldest; a cluster claimed by several gets the
    oldest id, one claimed by none a new one. With ``is_scoped``, the clusters are those that a pass
    over what is new looked at: ``identity_scope`` has the keys of their records and of those that
    are gone, ``scope_ids`` the ids that have to do with them.
    """
    of_records = f"and {_KEY} in (from identity_scope)" if is_scoped else ""
    of_ids = "and ids.customer_id in (from scope_ids)" if is_scoped else ""
    con.execute(f"""
        create or replace temp table identity_owners as
        with latest as (
            select source, contact_id, owner_id
            from {catalog}.identity_map
            where valid_to is null {of_records}
            union all
            (select source, contact_id, owner_id
            from {catalog}.identity_map as closed
            where valid_to is not null {of_records} and not exists (
                select 1 from {catalog}.identity_map as held
                where held.valid_to is null and held.source = closed.source
                    and held.contact_id = closed.contact_id)
            qualify row_number() over (
                partition by source, contact_id order by valid_to desc, valid_from desc) = 1)
        )
        select clusters.record, clusters.cluster, latest.owner_id
        from identity_clusters as clusters join latest using (source, contact_id)
    """)
    con.execute(f"""
        create or replace temp table identity_claims as
        with held as (
            select owner_id as customer_id, cluster, count(*) as records, min(record) as oldest
            from identity_owners
            group by all
        ),
        claims as (
            select customer_id, cluster from held
            qualify row_number() over (
                partition by customer_id order by records desc, oldest) = 1
        )
        select claims.customer_id, cluster, ids.retired_at is not null as was_retired,
            row_number() over (partition by cluster order by number) = 1 as is_kept
        from claims join {catalog}.customer_ids as ids using (customer_id)
    """)
    con.execute(f"""
        create or replace temp table identity_assigned as
        with founded as (
            select cluster, arg_min(source, record) as source,
                arg_min(contact_id, record) as contact_id,
                count(owners.record) > 0 as was_known
            from identity_clusters left join identity_owners as owners using (record, cluster)
            where cluster not in (select cluster from identity_claims)
            group by cluster
        ),
        named as (
            select *, {digest_sql("source || chr(31) || contact_id")} as customer_id from founded
        ),
        taken as (
            select cluster, source, contact_id, was_known from named
            semi join {catalog}.customer_ids using (customer_id)
        ),
        tried as (
            select cluster, was_known, 0 as salt, customer_id from named
            union all
            select cluster, was_known, salt,
                {digest_sql("source || chr(31) || contact_id || repeat('#', salt::integer)")}
            from taken, range(1, 8) as salts (salt)
        )
        select cluster, customer_id, case when was_retired then 'revived' else 'kept' end as origin
        from identity_claims where is_kept
        union all
        (select cluster, customer_id, case when was_known then 'split_off' else 'created' end
        from tried anti join {catalog}.customer_ids using (customer_id)
        qualify row_number() over (partition by cluster order by salt) = 1)
    """)
    clusters, ids, missing = con.execute("""
        select count(*), count(distinct customer_id),
            (select count(distinct cluster) from identity_clusters) - count(*)
        from identity_assigned
    """).fetchall()[0]
    if clusters != ids or missing:
        raise GateError(
            f"{clusters - ids + abs(missing)} customer ids would name two customers or none",
            where="warehouse/identity.duckdb",
            remedy="report it: digests of record ids have collided",
        )
    con.execute(f"""
        create or replace temp table identity_retiring as
        with gone as (
            select customer_id from {catalog}.customer_ids as ids
            anti join identity_assigned using (customer_id)
            where retired_at is null {of_ids}
        )
        select gone.customer_id, winner.customer_id as merged_into
        from gone
        left join identity_claims as claims using (customer_id)
        left join identity_assigned as winner using (cluster)
    """)
    origins = dict(
        con.execute("select origin, count(*) from identity_assigned group by 1").fetchall()
    )
    merged, gone = con.execute(
        "select count(merged_into), count(*) - count(merged_into) from identity_retiring"
    ).fetchall()[0]
    return IdChanges(
        created=origins.get("created", 0),
        merged=merged,
        split_off=origins.get("split_off", 0),
        revived=origins.get("revived", 0),
        retired=gone,
    )


def save_ids(
    con: duckdb.DuckDBPyConnection,
    now: datetime,
    catalog: str = "map",
    *,
    is_scoped: bool = False,
) -> None:
    """Write the ids given into the map, in one transaction; nothing when nothing changed.

    Reads what ``assign_ids`` made and ``identity_clusters`` with ``link_rule``; leaves
    the view ``identity_current``, one row per record. Redirects are one hop: they lead to the
    customer that now holds most of what the retired id owned.
    """
    moment = {"now": now}
    of_records = f"and {_KEY} in (from identity_scope)" if is_scoped else ""
    of_ids = "and customer_id in (from scope_ids)" if is_scoped else ""
    con.execute("""
        create or replace temp table identity_given as
        select clusters.source, clusters.contact_id, assigned.customer_id,
            case when assigned.origin in ('created', 'split_off') or owners.owner_id is null
                then assigned.customer_id else owners.owner_id end as owner_id,
            clusters.link_rule, clusters.record
        from identity_clusters as clusters
        join identity_assigned as assigned using (cluster)
        left join identity_owners as owners on owners.record = clusters.record
    """)
    with transaction(con):
        con.execute(
            f"""
            insert into {catalog}.customer_ids
            select customer_id,
                row_number() over (order by min(record))
                    + (select coalesce(max(number), 0) from {catalog}.customer_ids),
                $now, null, null
            from identity_given
            semi join (
                from identity_assigned where origin in ('created', 'split_off')
            ) using (customer_id)
            group by customer_id
            """,
            moment,
        )
        con.execute(
            f"""
            insert into {catalog}.customer_events
            with held as (
                select customer_id, count(*) as records from {catalog}.identity_map
                where valid_to is null {of_ids} group by customer_id
            ),
            came_from as (
                select assigned.customer_id, min(map.customer_id) as other, count(*) as records
                from identity_assigned as assigned
                join identity_clusters as clusters using (cluster)
                left join {catalog}.identity_map as map
                    on map.source = clusters.source and map.contact_id = clusters.contact_id
                    and map.valid_to is null
                where assigned.origin in ('revived', 'split_off')
                group by all
            )
            select $now, case when merged_into is null then 'retired' else 'merged' end,
                customer_id, merged_into, coalesce(held.records, 0)
            from identity_retiring left join held using (customer_id)
            union all
            select $now, origin, customer_id, came_from.other, came_from.records
            from identity_assigned join came_from using (customer_id)
            """,
            moment,
        )
        con.execute(
            f"""
            update {catalog}.customer_ids as ids set retired_at = $now
            from identity_retiring as gone where gone.customer_id = ids.customer_id
            """,
            moment,
        )
        con.execute(f"""
            update {catalog}.customer_ids as ids set retired_at = null, merged_into = null
            where retired_at is not null
                and customer_id in (select customer_id from identity_assigned)
        """)
        con.execute(f"""
            update {catalog}.customer_ids as ids set merged_into = winner.customer_id
            from identity_claims as claims join identity_assigned as winner using (cluster)
            where claims.customer_id = ids.customer_id and ids.retired_at is not null
                and ids.merged_into is distinct from winner.customer_id
        """)
        con.execute(f"""
            update {catalog}.customer_ids set merged_into = null
            where merged_into in (
                select customer_id from {catalog}.customer_ids where retired_at is not null)
        """)
        con.execute(
            f"""
            update {catalog}.identity_map as map set valid_to = $now
            where valid_to is null {of_records} and not exists (
                select 1 from identity_given as current
                where current.source = map.source and current.contact_id = map.contact_id
                    and current.customer_id = map.customer_id
                    and current.owner_id = map.owner_id
                    and current.link_rule = map.link_rule)
            """,
            moment,
        )
        con.execute(
            f"""
            insert into {catalog}.identity_map
            select source, contact_id, customer_id, owner_id, link_rule, $now, null
            from identity_given as current
            where not exists (
                select 1 from {catalog}.identity_map as map
                where map.valid_to is null and map.source = current.source
                    and map.contact_id = current.contact_id)
            order by source, contact_id
            """,
            moment,
        )
    con.execute(f"""
        create or replace temp view identity_current as
        select source, contact_id, customer_id, owner_id, link_rule
        from {catalog}.identity_map where valid_to is null
    """)
