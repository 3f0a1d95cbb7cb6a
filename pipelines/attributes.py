"""A company's own attributes, from what its sources told beside the fields that we know."""

from __future__ import annotations

import json
from datetime import date

import duckdb

from cohorte.segments.attributes import (
    CUSTOM,
    CUSTOM_ATTRIBUTES,
    Attribute,
    AttributeType,
    read_attributes,
)
from cohorte.workspace import Workspace

_TYPED: dict[AttributeType, tuple[str, str]] = {
    "text": ("varchar", "told"),
    "number": ("decimal(18, 4)", "try_cast(replace(replace(told, ' ', ''), ',', '.') as {type})"),
    "boolean": (
        "boolean",
        (
            "case when lower(told) in ('true', 'yes', 'oui', 'y', 'o', '1') then true"
            " when lower(told) in ('false', 'no', 'non', 'n', '0') then false end"
        ),
    ),
    "date": (
        "date",
        "coalesce(try_cast(told as date), cast(try_strptime(told, '%d/%m/%Y') as date))",
    ),
}
"""Column type and how a text becomes one."""


def show_attributes(
    work: duckdb.DuckDBPyConnection, workspace: Workspace, as_of: date
) -> list[str]:
    """Put the declared attributes into the profiles; what a person should know of them.

    Of a customer's records, the one that the first source listed told last. What is not of the
    type stays unknown, and is counted.
    """
    work.execute("create schema if not exists segments")
    work.execute(
        f"create or replace table segments.{CUSTOM_ATTRIBUTES}"
        " (attribute varchar, name_en varchar, name_fr varchar, as_of date)"
    )
    messages = []
    for name, attribute in read_attributes(workspace).items():
        unreadable, known = _add(work, f"{CUSTOM}{name}", attribute)
        label = {"en": name, "fr": name, **attribute.label}
        work.execute(
            f"insert into segments.{CUSTOM_ATTRIBUTES} values (?, ?, ?, ?)",
            [name, label["en"], label["fr"], as_of],
        )
        if not known:
            messages.append(
                f"attribute {name}: no customer has a value; check its source and column"
            )
        if unreadable:
            messages.append(f"attribute {name}: {unreadable} values are no {attribute.type}")
    return messages


def _add(work: duckdb.DuckDBPyConnection, column: str, attribute: Attribute) -> tuple[int, int]:
    """Add a column; how many values could not be read, and how many customers have one."""
    database_type, typed = _TYPED[attribute.type]
    work.execute(
        """
        create or replace temp table attribute_told as
        with listed as (
            select unnest($sources) as source, unnest($paths) as path, unnest($places) as place
        ),
        records as (
            select
                contacts._source as source, contacts.contact_id, contacts._loaded_at,
                listed.place, nullif(trim(contacts._extra ->> listed.path), '') as told
            from raw.contacts as contacts
            inner join listed on contacts._source = listed.source
            qualify row_number() over (
                partition by contacts._source, contacts.contact_id, listed.place
                order by
                    contacts._version desc nulls last,
                    case when contacts._version is null then contacts._loaded_at end
                        desc nulls last,
                    contacts._row_hash desc, contacts._file_id desc, contacts._line desc
            ) = 1
        )
        select identities.customer_id, records.*
        from records
        inner join marts.identities as identities
            on records.source = identities.source and records.contact_id = identities.contact_id
        where told is not null
        """,
        {
            "sources": [each.source for each in attribute.read_from],
            "paths": [f"$.{json.dumps(each.column)}" for each in attribute.read_from],
            "places": list(range(len(attribute.read_from))),
        },
    )
    value = typed.format(type=database_type)
    work.execute(
        f'alter table marts.customer_profiles add column if not exists "{column}" {database_type}'
    )
    work.execute(f'update marts.customer_profiles set "{column}" = null')
    work.execute(
        f"""
        update marts.customer_profiles as profiles set "{column}" = known.value
        from (
            select
                customer_id,
                arg_min({value}, (place, -epoch(_loaded_at), contact_id)) as value
            from attribute_told where ({value}) is not null group by customer_id
        ) as known
        where known.customer_id = profiles.customer_id
        """
    )
    ((unreadable,),) = work.execute(
        f"select count(*) from attribute_told where ({value}) is null"
    ).fetchall()
    ((known,),) = work.execute(f'select count("{column}") from marts.customer_profiles').fetchall()
    return int(unreadable), int(known)
