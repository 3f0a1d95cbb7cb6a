"""Customer ids that last: each old id goes on with the cluster that holds most of its records.

The map is state, kept in ``warehouse/identity.duckdb``: it cannot be worked out again from what
arrived, since an id says which records a customer was made of when it was first met.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import duckdb

from cohorte.errors import GateError

__all__ = ["MAP_DDL", "IdChanges", "assign_ids", "save_ids"]

MAP_DDL = """
create table if not exists {map}.customer_ids (
    customer_id varchar, number bigint, created_at timestamp, retired_at timestamp,
    merged_into varchar
);
create table if not exists {map}.identity_map (
    source varchar, contact_id varchar, customer_id varchar, link_rule varchar,
    valid_from timestamp, valid_to timestamp
);
create table if not exists {map}.customer_events (
    occurred_at timestamp, event varchar, customer_id varchar, other_customer_id varchar,
    records_count bigint
);
"""
"""``customer_ids`` has one row per id ever given, ``identity_map`` one per record and period,
``customer_events`` one per id created, merged, split off, revived or retired."""

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


def assign_ids(con: duckdb.DuckDBPyConnection, catalog: str = "map") -> IdChanges:
    """Give every cluster its id: ``identity_assigned`` (cluster, customer_id, origin).

    Reads ``identity_clusters`` (record, source, contact_id, cluster), records numbered by
    seniority, and the map attached as ``catalog``. Each id claims the cluster with most of its
    records, at a tie the one with the oldest; a cluster claimed by several keeps the oldest id.
    A part split off takes back the id that its records had before a merge, else a new one.
    """
    con.execute(f"""
        create or replace temp table identity_claims as
        with held as (
            select map.customer_id, clusters.cluster, count(*) as records,
                min(clusters.record) as oldest
            from {catalog}.identity_map as map
            join identity_clusters as clusters using (source, contact_id)
            where map.valid_to is null
            group by all
        ),
        claims as (
            select customer_id, cluster from held
            qualify row_number() over (
                partition by customer_id order by records desc, oldest) = 1
        )
        select claims.customer_id, cluster, number,
            row_number() over (partition by cluster order by number, claims.customer_id) = 1
                as is_kept
        from claims join {catalog}.customer_ids as ids using (customer_id)
    """)
    con.execute(f"""
        create or replace temp table identity_assigned as
        with free as (
            select cluster, min(record) as oldest from identity_clusters
            where cluster not in (select cluster from identity_claims)
            group by cluster
        ),
        past as (
            select map.customer_id, clusters.cluster, count(distinct clusters.record) as records,
                min(clusters.record) as oldest
            from {catalog}.identity_map as map
            join {catalog}.customer_ids as ids
                on ids.customer_id = map.customer_id and ids.retired_at is not null
            join identity_clusters as clusters using (source, contact_id)
            where map.valid_to is not null
            group by all
        ),
        past_claims as (
            select customer_id, cluster from past
            qualify row_number() over (
                partition by customer_id order by records desc, oldest) = 1
        ),
        revived as (
            select past_claims.customer_id, past_claims.cluster
            from past_claims join free using (cluster)
            join {catalog}.customer_ids as ids using (customer_id)
            qualify row_number() over (
                partition by cluster order by ids.number, customer_id) = 1
        ),
        founded as (
            select free.cluster, free.oldest, records.source, records.contact_id,
                exists (
                    select 1 from {catalog}.identity_map as map
                    where map.source = records.source and map.contact_id = records.contact_id
                ) as was_known
            from free join identity_clusters as records on records.record = free.oldest
            where free.cluster not in (select cluster from revived)
        ),
        tried as (
            select founded.cluster, founded.was_known, salt,
                {digest_sql("source || chr(31) || contact_id || repeat('#', salt::integer)")}
                    as customer_id
            from founded, range(0, 8) as salts (salt)
        )
        select cluster, customer_id, 'kept' as origin from identity_claims where is_kept
        union all
        select cluster, customer_id, 'revived' from revived
        union all
        (select cluster, customer_id, case when was_known then 'split_off' else 'created' end
        from tried
        where customer_id not in (select customer_id from {catalog}.customer_ids)
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
    origins = dict(
        con.execute("select origin, count(*) from identity_assigned group by 1").fetchall()
    )
    merged, retired = con.execute(f"""
        select count(*) filter (claims.customer_id is not null), count(*)
        from {catalog}.customer_ids as ids
        left join identity_claims as claims using (customer_id)
        where ids.retired_at is null
            and ids.customer_id not in (select customer_id from identity_assigned)
    """).fetchall()[0]
    return IdChanges(
        created=origins.get("created", 0),
        merged=merged,
        split_off=origins.get("split_off", 0),
        revived=origins.get("revived", 0),
        retired=retired - merged,
    )


def save_ids(con: duckdb.DuckDBPyConnection, now: datetime, catalog: str = "map") -> None:
    """Write the ids given into the map, in one transaction; nothing when nothing changed.

    Reads ``identity_assigned``, ``identity_claims`` and ``identity_clusters`` with ``link_rule``.
    Redirects are one hop: what pointed at a retired id now points where it went.
    """
    moment = {"now": now}
    con.execute("""
        create or replace temp table identity_current as
        select clusters.source, clusters.contact_id, assigned.customer_id, clusters.link_rule,
            clusters.record
        from identity_clusters as clusters join identity_assigned as assigned using (cluster)
    """)
    con.execute("begin transaction")
    try:
        con.execute(
            f"""
            insert into {catalog}.customer_ids
            with fresh as (
                select customer_id, min(record) as oldest
                from identity_current
                where customer_id not in (select customer_id from {catalog}.customer_ids)
                group by 1
            )
            select customer_id,
                row_number() over (order by oldest)
                    + (select coalesce(max(number), 0) from {catalog}.customer_ids),
                $now, null, null
            from fresh
            """,
            moment,
        )
        con.execute(
            """
            create or replace temp table identity_gone as
            select ids.customer_id, winner.customer_id as merged_into
            from map.customer_ids as ids
            left join identity_claims as claims on claims.customer_id = ids.customer_id
            left join identity_assigned as winner on winner.cluster = claims.cluster
            where ids.retired_at is null
                and ids.customer_id not in (select customer_id from identity_assigned)
        """.replace("map.", f"{catalog}.")
        )
        con.execute(
            f"""
            insert into {catalog}.customer_events
            select $now, case when merged_into is null then 'retired' else 'merged' end,
                customer_id, merged_into,
                (select count(*) from {catalog}.identity_map as map
                where map.customer_id = gone.customer_id and map.valid_to is null)
            from identity_gone as gone
            union all
            select $now, origin, assigned.customer_id,
                (select min(map.customer_id) from {catalog}.identity_map as map
                join identity_clusters as clusters using (source, contact_id)
                where clusters.cluster = assigned.cluster and map.valid_to is null),
                (select count(*) from identity_clusters as clusters
                where clusters.cluster = assigned.cluster)
            from identity_assigned as assigned
            where origin in ('revived', 'split_off')
            """,
            moment,
        )
        con.execute(
            f"""
            update {catalog}.customer_ids as ids
            set retired_at = $now, merged_into = gone.merged_into
            from identity_gone as gone where gone.customer_id = ids.customer_id
            """,
            moment,
        )
        con.execute(f"""
            update {catalog}.customer_ids as ids set retired_at = null, merged_into = null
            where retired_at is not null
                and customer_id in (select customer_id from identity_assigned)
        """)
        con.execute(f"""
            update {catalog}.customer_ids as ids set merged_into = gone.merged_into
            from identity_gone as gone
            where ids.merged_into = gone.customer_id and ids.customer_id <> gone.customer_id
        """)
        con.execute(
            f"""
            update {catalog}.identity_map as map set valid_to = $now
            where valid_to is null and not exists (
                select 1 from identity_current as current
                where current.source = map.source and current.contact_id = map.contact_id
                    and current.customer_id = map.customer_id
                    and current.link_rule = map.link_rule)
            """,
            moment,
        )
        con.execute(
            f"""
            insert into {catalog}.identity_map
            select source, contact_id, customer_id, link_rule, $now, null
            from identity_current as current
            where not exists (
                select 1 from {catalog}.identity_map as map
                where map.valid_to is null and map.source = current.source
                    and map.contact_id = current.contact_id)
            order by source, contact_id
            """,
            moment,
        )
        con.execute("commit")
    except BaseException:
        con.execute("rollback")
        raise
