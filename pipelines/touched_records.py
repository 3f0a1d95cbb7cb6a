"""Who is touched by what came since tables were built, and the records that are theirs: in SQL.

Statements that lay temporary tables in the build database, raw attached beside it. They read
``fresh_files`` (entity, file_id), the files that came, and what ``NAMED_AFTER`` names as it was
when the base was kept (``built.base_...``) and as it is (``built.next_...``).
"""

from __future__ import annotations

VERSIONED = {
    "contacts": "contact_id",
    "orders": "order_id",
    "order_lines": "order_id, line_number",
    "payments": "order_id, payment_number",
    "carts": "cart_id",
    "tickets": "ticket_id",
    "surveys": "survey_id",
    "leads": "lead_id",
    "opportunities": "opportunity_id",
    "interactions": "interaction_id",
}
"""Entities about customers of which the latest version of a record counts, by these keys."""

BY_CONTENT = ("consents", "email_events", "web_events")
"""Those of which each row counts."""

ENTITIES = (*VERSIONED, *BY_CONTENT)

NAMED_AFTER = {
    "records": """
        select records.source, records.contact_id, map.customer_id,
            hash(records, map.link_rule) as content
        from staging.stg_contacts as records
        left join identity.identity_map as map
            on records.source = map.source and records.contact_id = map.contact_id
    """,
    "corrections": "select customer_id, field, value from identity.corrections",
    "products": """
        select source, product_id, hash(product_name, category, unit_cost) as content
        from staging.stg_products
    """,
    "campaigns": """
        select source, campaign_id, hash(campaign_name) as content from staging.stg_campaigns
    """,
    "rates": "select currency_code, rate_date, rate from staging.stg_exchange_rates",
    "verdicts": "select address_hash, verdict, service from raw.address_verdicts",
}
"""What rows of customers are made of beside the records of events: the columns that models read."""

TOLD = frozenset(
    (
        *(f"raw.{entity}" for entity in ENTITIES),
        *("raw.products", "raw.campaigns", "raw.exchange_rates"),
        *("raw.places", "raw.address_verdicts", "raw.snapshots"),
        *("identity.identity_map", "identity.corrections", "built.customer_numbers"),
    )
)
"""All that is looked at for what is new: a model that reads of anything else is built whole."""


def fresh(entity: str) -> str:
    return f"(select file_id from fresh_files where entity = '{entity}')"


def changed(entity: str, key: str, where: str = "true") -> str:
    """Records of which other content counts now, by part of their key."""
    keys = VERSIONED[entity]
    # As the macro latest_version has it; the last parts of its order tell equal content apart.
    latest = """
        arg_max(_row_hash, (
            coalesce(_version, '-infinity'::timestamp),
            case when _version is null then _loaded_at else '-infinity'::timestamp end,
            _row_hash
        ))
    """
    return f"""
        select distinct _source, {key}
        from (
            select _source, {keys}, {latest} as content,
                {latest} filter (_file_id not in {fresh(entity)}) as known_content
            from raw.{entity}
            semi join (
                select distinct _source, {keys} from raw.{entity}
                where _file_id in {fresh(entity)} and {where}
            ) as came using (_source, {keys})
            where {where}
            group by _source, {keys}
        )
        where content is distinct from known_content
    """


def arrived(entity: str, key: str, where: str = "true") -> str:
    """What rows are about that no delivery known had, of those that count by content.

    The earliest delivery says when a row was loaded, and a file that was refused may be read late.
    """
    return f"""
        select distinct _source, {key}
        from raw.{entity} as came
        where _file_id in {fresh(entity)} and {where} and not exists (
            select 1 from raw.{entity} as known
            where known._file_id not in {fresh(entity)} and known._source = came._source
                and known._row_hash = came._row_hash and known._occurrence = came._occurrence
                and known._file_id < came._file_id
        )
    """


SNAPSHOTS = "select * from raw.snapshots where entity = 'contacts'"

CLOSED = f"""
    select source, contact_id from staging.stg_contacts as records
    where closed_at is not null and exists (
        select 1 from raw.contacts as shown
        where shown._file_id in (select file_id from fresh_snapshots)
            and shown._source = records.source and shown.contact_id = records.contact_id
    )
    union
    select records.source, records.contact_id
    from staging.stg_contacts as records
    inner join (
        select distinct snapshots.source, snapshots.feed, shown.contact_id
        from ({SNAPSHOTS}) as snapshots
        inner join raw.contacts as shown on snapshots.file_id = shown._file_id
    ) as known
        on records.source = known.source and records.contact_id = known.contact_id
    inner join fresh_snapshots as fresh
        on known.source = fresh.source and known.feed = fresh.feed
    where records.closed_at is null and not exists (
        select 1 from raw.contacts as shown
        where shown._file_id = fresh.file_id and shown.contact_id = records.contact_id
    )
"""
"""Records that were closed and that a new snapshot shows, or that one of theirs no longer shows."""


def of_contacts(entity: str, key: str) -> str:
    """Whose the touched records of an entity are, and were."""
    return f"""
        select _source, contact_id from raw.{entity}
        semi join touched_{entity} using (_source, {key})
    """


_CHANGED_RATES = """
    (select currency_code, min(rate_date) as since from changed_rates group by all) as rates
"""


def in_changed_currency(relation: str, key: str) -> str:
    """Records whose rate may be another; a day earlier in UTC may be the same day here."""
    return f"""
        select records.source, records.{key}
        from {relation} as records
        inner join {_CHANGED_RATES}
            on records.currency_code = rates.currency_code
            and records.created_at >= rates.since - interval 1 day
    """


TOUCHED: dict[str, str] = {
    **{
        f"changed_{name}": f"""
            (from built.next_{name} except from built.base_{name})
            union (from built.base_{name} except from built.next_{name})
        """
        for name in NAMED_AFTER
    },
    "touched_orders": f"""
        select _source, order_id
        from (
            {changed("orders", "order_id")}
            union {changed("order_lines", "order_id", "line_number is not null")}
            union {arrived("order_lines", "order_id", "line_number is null")}
            union {changed("payments", "order_id")}
            union
            select source, order_id from marts.order_lines
            semi join changed_products using (source, product_id)
            union
            select orders.source, orders.order_id
            from intermediate.int_orders__identified as orders
            inner join {_CHANGED_RATES}
                on orders.currency_code = rates.currency_code and orders.order_date >= rates.since
        )
    """,
    "touched_carts": f"""
        {changed("carts", "cart_id")}
        union select _source, cart_id from raw.carts semi join touched_orders
            using (_source, order_id)
        union {in_changed_currency("staging.stg_carts", "cart_id")}
    """,
    "touched_tickets": changed("tickets", "ticket_id"),
    "touched_surveys": changed("surveys", "survey_id"),
    "touched_interactions": changed("interactions", "interaction_id"),
    "touched_opportunities": f"""
        {changed("opportunities", "opportunity_id")}
        union {in_changed_currency("staging.stg_opportunities", "opportunity_id")}
    """,
    "touched_leads": f"""
        {changed("leads", "lead_id")}
        union select _source, lead_id from raw.opportunities
            semi join touched_opportunities using (_source, opportunity_id)
            where lead_id is not null
    """,
    "touched_sessions": arrived("web_events", "session_id", "session_id is not null"),
    "touched_contacts": f"""
        select _source, contact_id
        from (
            select source as _source, contact_id from changed_records
            union
            select source, contact_id from intermediate.int_contacts__addresses
            where address_hash in (select address_hash from changed_verdicts)
            union {of_contacts("orders", "order_id")}
            union {of_contacts("carts", "cart_id")}
            union {of_contacts("tickets", "ticket_id")}
            union {of_contacts("surveys", "survey_id")}
            union {of_contacts("interactions", "interaction_id")}
            union {of_contacts("opportunities", "opportunity_id")}
            union {of_contacts("leads", "lead_id")}
            union {arrived("consents", "contact_id")}
            union {arrived("email_events", "coalesce(contact_id, email)")}
            union
            select _source, coalesce(contact_id, email) from raw.email_events
            where (_source, campaign_id) in
                (select (source, campaign_id) from changed_campaigns)
            union {arrived("web_events", "contact_id")}
            union
            select _source, contact_id from raw.web_events
            semi join touched_sessions using (_source, session_id)
        )
        where contact_id is not null
    """,
    "touched_customers": """
        select customer_id
        from (
            select customer_id from changed_records
            union
            select customer_id from changed_corrections
            union
            select customer_id from identity.identity_map as map
            semi join touched_contacts as held
                on map.source = held._source and map.contact_id = held.contact_id
        )
        where customer_id is not null
    """,
}
"""Who is touched: those of records that changed, and those who had them before."""

NUMBERS = "select customer_id, customer_number from built.customer_numbers"

RENUMBERED = f"""
    select customer_id from ({NUMBERS} except from built.base_numbers)
    union
    select customer_id from (from built.base_numbers except {NUMBERS})
"""
"""Who has another number."""

THEIRS = {
    "mini_contacts": """
        select source as _source, contact_id from identity.identity_map
            semi join touched_customers using (customer_id)
        union from touched_contacts
    """,
    "mini_orders": """
        from touched_orders
        union select _source, order_id from raw.orders
            semi join mini_contacts using (_source, contact_id)
    """,
    "mini_carts": """
        from touched_carts
        union select _source, cart_id from raw.carts
            semi join mini_contacts using (_source, contact_id)
    """,
    "mini_sessions": """
        from touched_sessions
        union select _source, session_id from raw.web_events
            semi join mini_contacts using (_source, contact_id)
            where session_id is not null
    """,
    "mini_mails": f"""
        select rowid as mail from raw.email_events
        where contact_id is null and email is null and (
            _file_id in {fresh("email_events")}
            or (_source, campaign_id) in (select (source, campaign_id) from changed_campaigns)
        )
    """,
    "mini_pages": f"""
        select page from ({arrived("web_events", "rowid as page")})
        union select rowid from raw.web_events semi join mini_contacts
            using (_source, contact_id)
        union select rowid from raw.web_events semi join mini_sessions
            using (_source, session_id)
    """,
    # An order that was theirs is somebody else's by its latest version: not nobody's.
    "mini_known": """
        from mini_contacts
        union select _source, contact_id from raw.orders
            semi join mini_orders using (_source, order_id)
        union select _source, contact_id from raw.carts
            semi join mini_carts using (_source, cart_id)
        union select _source, contact_id from raw.web_events
            where rowid in (from mini_pages)
    """,
}
"""All records of touched customers, and of the touched records that are nobody's."""

_OF_ORDERS = "from {relation} semi join mini_orders using (_source, order_id)"
_OF_CUSTOMERS = "from {relation} semi join touched_customers using (customer_id)"

MADE_OF: dict[str, dict[str, str]] = {
    "stage": {
        "raw.contacts": "from {relation} semi join mini_contacts using (_source, contact_id)"
    },
    "unify": {
        "raw.orders": _OF_ORDERS,
        "raw.order_lines": _OF_ORDERS,
        "raw.payments": _OF_ORDERS,
        "raw.carts": "from {relation} semi join mini_carts using (_source, cart_id)",
        "raw.consents": "from {relation} semi join mini_contacts using (_source, contact_id)",
        "raw.email_events": """
            from {relation} as events semi join mini_contacts as held
                on events._source = held._source
                and coalesce(events.contact_id, events.email) = held.contact_id
            union all from {relation} where rowid in (from mini_mails)
        """,
        "raw.web_events": "from {relation} where rowid in (from mini_pages)",
        "stg_contacts": """
            from {relation} as records semi join mini_contacts as held
                on records.source = held._source and records.contact_id = held.contact_id
        """,
        "identity.identity_map": """
            from {relation} as map semi join mini_known as held
                on map.source = held._source and map.contact_id = held.contact_id
        """,
    },
    "features": dict.fromkeys(
        (
            "carts",
            "customers",
            "int_email_events__identified",
            "int_web_visits__identified",
            "leads",
            "opportunities",
            "order_lines",
            "surveys",
            "tickets",
            "identity.identity_map",
        ),
        _OF_CUSTOMERS,
    )
    # A cart may have become an order of somebody else.
    | {
        "orders": """
            from {relation} as orders
            where customer_id in (from touched_customers)
                or (source, order_id) in (select (source, order_id) from mini__carts)
        """
    },
}
"""What stands in for the relations that each station's tables are made of: touched rows alone."""
