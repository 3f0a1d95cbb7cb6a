"""Which facts were delivered late, so that a day of the past can be told without them.

Of every source and entity the day of its first delivery is kept, and of each record that came on a
later day that day.
"""

from __future__ import annotations

from datetime import date, timedelta

import duckdb

from cohorte.segments.past import LATE_DAYS, LATE_FACTS
from cohorte.workspace import Workspace

_CONTENT = "to_hex(_row_hash) || '-' || _occurrence"
_RECORDS = {
    "contacts": "contact_id",
    "orders": "order_id",
    "carts": "cart_id",
    "leads": "lead_id",
    "opportunities": "opportunity_id",
    "tickets": "ticket_id",
    "surveys": "survey_id",
    "interactions": "interaction_id",
    "email_events": _CONTENT,
    "web_events": f"if(coalesce(kind, 'web_visit') = 'web_visit', {_CONTENT}, session_id)",
}
"""What the marts call a record of each raw entity (`content_id` and `stg_web_visits` of dbt)."""


def lay_late_facts(workspace: Workspace, work: duckdb.DuckDBPyConnection, as_of: date) -> None:
    """Lay the days of delivery, of the last days that are kept, into the build database."""
    work.execute("create schema if not exists segments")
    work.execute(
        f"create or replace table segments.{LATE_FACTS}"
        " (entity varchar, source varchar, record_id varchar, loaded_date date)"
    )
    zone = workspace.settings.time_zone.replace("'", "''")

    def day_of(moment: str) -> str:
        return f"cast(({moment} at time zone 'UTC') at time zone '{zone}' as date)"

    delivered = {
        name
        for (name,) in work.execute(
            "select table_name from duckdb_tables() where database_name = 'raw'"
        ).fetchall()
    }
    for entity, record_id in _RECORDS.items():
        if entity not in delivered:
            continue
        work.execute(
            f"""
            insert into segments.{LATE_FACTS}
            with first_days as (
                select _source, {day_of("min(_loaded_at)")} as first_date
                from raw.{entity} group by _source
            ),
            first_ends as (
                select
                    *, (cast(first_date + 1 as timestamp) at time zone '{zone}')
                    at time zone 'UTC' as first_end
                from first_days
            ),
            records as (
                select _source, {record_id} as record_id, _loaded_at from raw.{entity}
            ),
            came_again_or_late as (
                select distinct records._source, records.record_id
                from records inner join first_ends
                    on records._source = first_ends._source
                    and records._loaded_at >= first_ends.first_end
            ),
            first_comings as (
                select _source, record_id, min(_loaded_at) as loaded_at
                from records semi join came_again_or_late using (_source, record_id)
                group by _source, record_id
            )
            select '{entity}', _source, null, first_date from first_days
            union all
            select '{entity}', _source, record_id, {day_of("loaded_at")}
            from first_comings inner join first_ends using (_source)
            where loaded_at >= first_end and {day_of("loaded_at")} > $oldest
            order by 4, 2, 3
            """,
            {"oldest": as_of - timedelta(days=LATE_DAYS)},
        )
